//! Ambit's control plane.
//!
//! In the order data meets it:
//!
//! - [`config`]: the command line
//! - [`app`]: all tasks, wired in one place
//! - [`source`]: a directory of Kubernetes YAML or an API server, as events
//! - [`api`]: the custom resources as their authors write them
//! - [`model`]: the desired state and what a change makes dirty
//! - [`jwks`]: the keys by which tokens of users are verified
//! - [`deploy`]: the objects that a Gateway asks for
//! - [`engine`]: from changed objects to changed resources
//! - [`translate`]: the model to the wire
//! - [`xds`]: delta discovery
//! - [`auth`]: who calls
//! - [`ca`]: the certificate authority
//! - [`node`]: the stream of each machine
//! - [`fleet`]: what all proxies remember, and the pages that show it
//! - [`prometheus`]: what is older than that
//! - [`dashboard`]: those pages for others than this machine
//! - [`status`]: what is said about each object
//! - [`kubernetes`]: what is written to an API server
//! - [`listen`], [`admin`]: the listeners
//! - [`state`]: what outlives a restart
//! - [`limits`]: the bounds

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod ca;
pub mod config;
pub mod dashboard;
pub mod deploy;
pub mod engine;
pub mod fleet;
pub mod jwks;
pub mod kubernetes;
pub mod limits;
pub mod listen;
pub mod model;
pub mod node;
pub mod prometheus;
mod roots;
pub mod source;
pub mod state;
pub mod status;
mod sync;
pub mod translate;
pub mod xds;

pub use app::{App, Running};
pub use auth::tokens;
pub use config::Config;

use std::future::Future;

use hbone::telemetry::{Logging, process};
use prometheus_client::registry::Registry;

/// Runs the command line until `shutdown` ends: what the `control` binary does. `logging` is the
/// process's, whose lost lines are counted on the metrics page.
///
/// # Errors
/// See [`App::start`] and [`tokens::create`].
pub async fn run(
    cli: config::Cli,
    logging: &Logging,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    match cli.command {
        Some(config::Command::Token { node }) => {
            println!("{}", tokens::create(&cli.config.state, &node)?);
            Ok(())
        }
        None => {
            let mut registry = Registry::default();
            process::register(&mut registry, "control", env!("CARGO_PKG_VERSION"));
            logging.register(&mut registry);
            let running = App::start_with(cli.config, registry).await?;
            shutdown.await;
            running.stop().await;
            Ok(())
        }
    }
}
