//! The command line of the shop's programs.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::service::{Neighbours, Role, Service};
use crate::traffic::Plan;
use crate::{policy, server, traffic};

/// A program of the shop.
#[derive(Clone, Debug, Subcommand)]
pub enum Program {
    /// One of the services, until it is ended
    Serve(Serve),
    /// The policy engine, until it is ended
    Policy(Policy),
    /// A customer
    Traffic(Plan),
}

/// How a service is run.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Which one
    role: Role,
    /// Its version, in letters, digits, dots and hyphens
    #[arg(long, default_value = "v1", value_parser = version)]
    version: String,
    /// Where it listens; IPv6's unspecified address takes IPv4 too
    #[arg(long, default_value_t = anywhere(8080))]
    listen: SocketAddr,
    /// Seconds that it goes on serving after SIGTERM, until nobody sends it anything
    #[arg(long, default_value_t = 0)]
    drain: u64,
    #[command(flatten)]
    neighbours: Neighbours,
}

/// How the policy engine is run.
#[derive(Clone, Debug, Args)]
pub struct Policy {
    /// The file of relationships, read again when it changes
    #[arg(long)]
    relations: PathBuf,
    /// Where it listens
    #[arg(long, default_value_t = anywhere(9000))]
    listen: SocketAddr,
}

fn anywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// A version becomes a header's value.
fn version(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if (1..=32).contains(&text.len()) && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no version; write 1 to 32 letters, digits, dots and hyphens"))
}

/// Waits for SIGTERM and then for `time`.
async fn drained(time: Duration) -> anyhow::Result<()> {
    let mut told = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    told.recv().await;
    tracing::info!(?time, "draining");
    tokio::time::sleep(time).await;
    Ok(())
}

impl Program {
    /// Runs it; services end with the process.
    ///
    /// # Errors
    /// If an address is taken or a file cannot be used.
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Serve(serve) => {
                let listener = TcpListener::bind(serve.listen)
                    .await
                    .with_context(|| serve.listen.to_string())?;
                let service = Service::new(serve.role, &serve.version, serve.neighbours);
                tracing::info!(
                    service = serve.role.name(),
                    version = serve.version,
                    listen = %serve.listen,
                    "service ready"
                );
                tokio::select! {
                    served = server::serve(listener, service) => Ok(served?),
                    done = drained(Duration::from_secs(serve.drain)) => done,
                }
            }
            Self::Policy(engine) => policy::serve(engine.listen, engine.relations).await,
            Self::Traffic(plan) => traffic::run(plan).await,
        }
    }
}
