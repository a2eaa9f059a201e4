//! The one command a person uses to run and look at an Ambit mesh.
//!
//! A file per subcommand:
//!
//! - [`demo`]: a whole mesh on this machine, shown at work
//! - [`exec`]: a command inside a pod of a running mesh
//! - [`install`]: Ambit in a Kubernetes cluster
//! - [`node`]: one machine of a mesh: agent, ztunnel and waypoints
//! - [`daemons`]: the programs of a mesh, so that one build is enough

mod daemons;
mod demo;
mod exec;
mod install;
mod node;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hbone::telemetry::Logging;

/// Ambit: mutual TLS, identity and policy for unmodified programs, without sidecars
#[derive(Debug, Parser)]
#[command(name = "ambit", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "The daemons control, ztunnel, node-agent and waypoint are subcommands too; \
                        each is what the program of that name is."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a whole mesh at work on this machine: two nodes, a shop, real programs
    Demo(demo::Options),

    /// Run a command inside a pod or node of a running demo
    ///
    /// The pod is NAMESPACE/NAME, or a NAME that only one pod has, as in
    /// `ambit exec shop/web -- curl http://orders/`.
    Exec(exec::Options),

    /// Bring Ambit into a Kubernetes cluster, and wait until it is ready
    Install(install::Options),

    /// Bring a cluster's Ambit to this version
    Upgrade(install::Options),

    /// Take Ambit out of a Kubernetes cluster
    Uninstall(install::RemovalOptions),

    /// Run this machine's part of a mesh: node agent, ztunnel and waypoints
    ///
    /// What a kubelet and a DaemonSet do on a Kubernetes node. SIGTERM drains and leaves
    /// redirection in place; the variables of ztunnel and waypoints are passed on to them.
    Node(Box<node::NodeOptions>),

    /// Run the control plane
    #[command(hide = true)]
    Control(Box<control::config::Cli>),

    /// Run the node proxy; its settings are environment variables
    #[command(hide = true)]
    Ztunnel,

    /// Run a waypoint; its settings are environment variables
    #[command(hide = true)]
    Waypoint,

    /// Run the node agent
    #[command(hide = true)]
    NodeAgent(Box<ztunnel_node::service::AgentOptions>),

    /// Run a program of the demo's shop
    #[command(hide = true, subcommand)]
    Shop(shop::Program),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        // These are programs of their own, down to their log and their runtime.
        Command::Ztunnel => ztunnel::main_from_env(),
        Command::Waypoint => report(waypoint::app::run_from_env().map(|()| ExitCode::SUCCESS)),
        Command::Demo(options) => report(demo::run(&options)),
        Command::Exec(options) => report(exec::run(&options)),
        Command::Install(options) => report(wait(install::run(&options, false))),
        Command::Upgrade(options) => report(wait(install::run(&options, true))),
        Command::Uninstall(options) => report(wait(install::uninstall(&options))),
        Command::Node(options) => logged(|logging| node::run(*options, logging)),
        Command::Control(cli) => logged(|logging| daemons::control(*cli, logging)),
        Command::NodeAgent(options) => logged(|logging| daemons::node_agent(*options, logging)),
        Command::Shop(program) => logged(|_| program.run()),
    }
}

/// Runs a daemon with the log that `RUST_LOG` and `LOG_FORMAT` ask for.
fn logged<D: Future<Output = anyhow::Result<()>>>(daemon: impl FnOnce(Logging) -> D) -> ExitCode {
    let logging = match Logging::from_env() {
        Ok(logging) => logging,
        Err(error) => return report(Err(error.into())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(daemon(logging.clone())));
    logging.flush();
    report(result.map(|()| ExitCode::SUCCESS))
}

/// Runs a command that talks to others; what it says is for a person, not for a log.
fn wait(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("ambit: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests;
