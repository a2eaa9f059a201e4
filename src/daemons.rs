//! The programs of a mesh as subcommands. Each calls what the program of that name calls.

use hbone::telemetry::Logging;
use tokio::signal::unix::{Signal, SignalKind, signal};
use ztunnel_node::service::AgentOptions;

/// SIGTERM and SIGINT, which ask a daemon to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn either(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs the control plane, or makes a join token.
///
/// # Errors
/// As [`control::run`].
pub(crate) async fn control(cli: control::config::Cli, logging: Logging) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    control::run(cli, &logging, signals.either()).await
}

/// Runs the node agent until a signal; redirection stays as it is.
///
/// # Errors
/// If the agent does not start.
pub(crate) async fn node_agent(options: AgentOptions, logging: Logging) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    Ok(ztunnel_node::service::run(&options, &logging, signals.either()).await?)
}
