//! The one command a person uses to run and look at an Ambit mesh.
//!
//! A file per subcommand:
//!
//! - [`demo`]: a whole mesh on this machine, shown at work
//! - [`exec`]: a command inside a pod of a running mesh
//! - [`install`]: Ambit in a Kubernetes cluster
//! - [`version`], [`status`], [`check`]: what there is, and what is wrong with it
//! - [`enroll`], [`waypoints`]: what changes it
//! - [`proxy`]: into one process
//! - [`edges`], [`audit`], [`tap`], [`top`], [`dashboard`]: its traffic
//! - [`node`]: one machine of a mesh: agent, ztunnel and waypoints
//! - [`daemons`]: the programs of a mesh, so that one build is enough
//! - [`shell`]: completions and the manual
//!
//! What they share:
//!
//! - [`mesh`]: where a mesh is, and how its processes and objects are reached
//! - [`remembered`]: what proxies remember, asked of control or of each
//! - [`terminal`]: tables, formats, colours, progress
//! - [`failure`]: how a command ends; [`suggest`]: what a wrong name may have meant

mod audit;
mod check;
mod daemons;
mod dashboard;
mod demo;
mod edges;
mod enroll;
mod exec;
mod failure;
mod install;
mod mesh;
mod node;
mod proxy;
mod remembered;
mod shell;
mod status;
mod suggest;
mod tap;
mod terminal;
mod top;
mod version;
mod waypoints;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use hbone::telemetry::Logging;

use self::failure::{Failure, Outcome};
use self::terminal::escape;

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

    /// Say which version this command, the control plane and every proxy have
    Version(version::Options),

    /// Show which pods take part: by which label, on which node, proven or not
    Status(status::Options),

    /// Bring a namespace or a pod into the mesh by its label, and wait until that is proven
    #[command(visible_alias = "enrol")]
    Enroll(enroll::Options),

    /// Take a namespace or a pod out of the mesh
    #[command(visible_alias = "unenrol")]
    Unenroll(enroll::Options),

    /// Bring, list, show or delete waypoints
    ///
    /// Without a command it is the program of that name, as nodes start it.
    Waypoint {
        #[command(subcommand)]
        command: Option<waypoints::Command>,
    },

    /// Look into one ztunnel or waypoint
    #[command(subcommand)]
    Proxy(proxy::Command),

    /// Find what is wrong, and say how to put it right
    ///
    /// Ends with 3 if it found an error; docs/cli.md lists what it can find.
    Check(check::Options),

    /// Show who talks to whom, by mutual TLS or not, and since when
    Edges(edges::Options),

    /// Show what was refused or failed, and what each policy decided
    Audit(audit::Options),

    /// Show connections, refusals and changes as they happen
    Tap(tap::Options),

    /// Show nodes, namespaces, workloads and connections, live
    Top(top::Options),

    /// Open the pages of the mesh, or of one node, in a browser
    Dashboard(dashboard::Options),

    /// Write completions for a shell to stdout
    Completions(shell::CompletionOptions),

    /// Write the manual to stdout, or its pages to a directory
    Man(shell::ManOptions),

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

    /// Run the node agent
    #[command(hide = true)]
    NodeAgent(Box<ztunnel_node::service::AgentOptions>),

    /// Let stdin and stdout be a connection: how pages in other network namespaces are reached
    #[command(hide = true)]
    Relay {
        /// Where to
        address: SocketAddr,
    },

    /// Run a program of the demo's shop
    #[command(hide = true, subcommand)]
    Shop(shop::Program),
}

fn main() -> ExitCode {
    match parse().command {
        // These are programs of their own, down to their log and their runtime.
        Command::Ztunnel => ztunnel::main_from_env(),
        Command::Demo(options) => report(demo::run(&options)),
        Command::Exec(options) => report(exec::run(&options)),
        Command::Install(options) => report(wait(install::run(&options, false))),
        Command::Upgrade(options) => report(wait(install::run(&options, true))),
        Command::Uninstall(options) => report(wait(install::uninstall(&options))),
        Command::Waypoint { command: None } => waypoint_or_help(),
        Command::Waypoint { command: Some(command) } => told(waypoints::run(&command)),
        Command::Enroll(options) => told(enroll::enroll(&options)),
        Command::Unenroll(options) => told(enroll::unenroll(&options)),
        Command::Proxy(command) => told(proxy::run(&command)),
        Command::Check(options) => told(check::run(&options)),
        Command::Edges(options) => told(edges::run(&options)),
        Command::Audit(options) => told(audit::run(&options)),
        Command::Tap(options) => told(tap::run(&options)),
        Command::Top(options) => told(top::run(&options)),
        Command::Dashboard(options) => told(dashboard::run(&options)),
        Command::Version(options) => told(version::run(&options)),
        Command::Status(options) => told(status::run(&options)),
        Command::Completions(options) => report(shell::completions(&options, command())),
        Command::Man(options) => report(shell::manual(&options, command())),
        Command::Relay { address } => report(mesh::way::relay(address).map(|()| ExitCode::SUCCESS)),
        Command::Node(options) => logged(|logging| node::run(*options, logging)),
        Command::Control(cli) => logged(|logging| daemons::control(*cli, logging)),
        Command::NodeAgent(options) => logged(|logging| daemons::node_agent(*options, logging)),
        Command::Shop(program) => logged(|_| program.run()),
    }
}

/// The command line; called `kubectl-ambit` it is a plugin of kubectl, and says so.
fn command() -> clap::Command {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&called).file_name().unwrap_or_default();
    let is_plugin = name.to_string_lossy().starts_with("kubectl-ambit");
    let command = Cli::command();
    if is_plugin {
        command.bin_name("kubectl ambit").display_name("kubectl ambit")
    } else {
        command
    }
}

fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// A waypoint, which every node tells for which Gateway it is; whoever does not wants help.
fn waypoint_or_help() -> ExitCode {
    if std::env::var_os("GATEWAY_NAME").is_some() {
        return report(waypoint::app::run_from_env().map(|()| ExitCode::SUCCESS));
    }
    let mut command = command();
    command.build();
    if let Some(own) = command.find_subcommand_mut("waypoint") {
        eprint!("{}", own.render_help());
    }
    ExitCode::from(2)
}

/// Runs a command that looks at a mesh: its exit code says how that went.
fn told(command: impl Future<Output = Result<Outcome, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(anyhow::Error::from(error).into()),
    };
    match result {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            eprintln!("ambit: {}", escape::clean_lines(&failure.to_string()));
            failure.code()
        }
    }
}

/// Says on stderr what is not as hoped, and goes on.
fn warn(text: &str) {
    eprintln!("note: {}", escape::clean_lines(text));
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
        eprintln!("ambit: {}", escape::clean_lines(&format!("{error:#}")));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests;
