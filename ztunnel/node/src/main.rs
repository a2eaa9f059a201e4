//! The node agent as a program of its own.

use anyhow::Context;
use clap::Parser;
use hbone::telemetry::log::{Levels, LogFormat, Logging};
use tokio::signal::unix::{SignalKind, signal};
use ztunnel_node::service::{self, AgentOptions};

/// Ambit's node agent: redirects the pods of a node to its ztunnel.
#[derive(Parser)]
#[command(name = "ambit-node-agent", version)]
struct Options {
    #[command(flatten)]
    agent: AgentOptions,

    /// Form of the log: plain or json
    #[arg(long, env = "LOG_FORMAT", default_value = "plain")]
    log_format: String,

    /// Levels of the log, such as info or info,ztunnel_node=debug
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let levels: Levels = options.log.parse().context("RUST_LOG")?;
    let format: LogFormat = options.log_format.parse()?;
    let logging = Logging::install(format, levels)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    service::run(&options.agent, &logging, async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await?;
    logging.flush();
    Ok(())
}
