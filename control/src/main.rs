//! The `control` binary.

use clap::Parser;
use hbone::telemetry::Logging;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = control::config::Cli::parse();
    let logging = Logging::from_env()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let result = control::run(cli, &logging, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
    .await;
    logging.flush();
    result
}
