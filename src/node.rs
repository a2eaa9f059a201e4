//! `ambit node`: what a kubelet would do on a machine without one. Runs the node agent in this
//! process, and ztunnel and the waypoints of this node as its children.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hbone::netns::Netns;
use hbone::telemetry::Logging;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use ztunnel_node::machine::{
    Lock, Program, SupervisorTiming, WaypointLauncher, run_waypoints, supervise,
};
use ztunnel_node::pod::Pod;
use ztunnel_node::service::{AgentOptions, Service};

/// Port of a waypoint's readiness page.
const WAYPOINT_READINESS: u16 = 15021;

/// Settings of `ambit node`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeOptions {
    #[command(flatten)]
    agent: AgentOptions,

    /// Program that runs as ztunnel instead of `ambit ztunnel`
    #[arg(long, env = "AMBIT_ZTUNNEL")]
    ztunnel: Option<PathBuf>,

    /// Program that runs as waypoint instead of `ambit waypoint`
    #[arg(long, env = "AMBIT_WAYPOINT")]
    waypoint: Option<PathBuf>,

    /// Where ztunnel serves /healthz/ready
    #[arg(long, env = "READINESS_ADDR", default_value = "0.0.0.0:15021")]
    ztunnel_readiness: SocketAddr,
}

/// A program that is one of ours or the user's choice.
#[derive(Clone, Debug)]
struct Executable {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Starts `ambit waypoint`, or the program that the user chose.
struct Launcher {
    executable: Executable,
    options: AgentOptions,
}

/// Runs until SIGTERM or SIGINT; then ztunnel and waypoints drain, and redirection stays. Killed
/// otherwise, it leaves them running, and the next one takes them over.
///
/// # Errors
/// If the agent does not start, or the run directory is another's.
pub(crate) async fn run(options: NodeOptions, logging: Logging) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let run_dir = &options.agent.run_dir;
    let _lock = Lock::take(run_dir)?;
    let (programs, agent) = (CancellationToken::new(), CancellationToken::new());
    let service = Service::start(&options.agent, &logging, agent.clone()).await?;
    let ztunnel = Executable::new(options.ztunnel.clone(), "ztunnel")?;
    let ztunnel = ztunnel.program("ztunnel", &options);
    let ztunnel = tokio::spawn(start(service.clone(), ztunnel, programs.clone()));
    let launcher = Launcher {
        executable: Executable::new(options.waypoint.clone(), "waypoint")?,
        options: options.agent.clone(),
    };
    let files = run_dir.join("waypoints");
    let waypoints =
        tokio::spawn(run_waypoints(service, Arc::new(launcher), files, programs.clone()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("node stops; redirection stays as it is");
    programs.cancel();
    let (ztunnel, waypoints) = tokio::join!(ztunnel, waypoints);
    agent.cancel();
    ztunnel.and(waypoints)?;
    Ok(())
}

/// Without a node credential ztunnel could not ask for anything.
async fn start(service: Service, ztunnel: Program, stop: CancellationToken) {
    let mut credential = service.credential.clone();
    tokio::select! {
        there = credential.wait_for(|there| *there) => if there.is_err() { return },
        () = stop.cancelled() => return,
    }
    supervise(ztunnel, SupervisorTiming::default(), stop).await;
}

impl Executable {
    /// The chosen program, or this one under a subcommand.
    fn new(chosen: Option<PathBuf>, subcommand: &str) -> anyhow::Result<Self> {
        Ok(match chosen {
            Some(path) => Self { path, arguments: Vec::new() },
            None => Self { path: std::env::current_exe()?, arguments: vec![subcommand.into()] },
        })
    }

    /// ztunnel as a program to supervise.
    fn program(self, name: &str, options: &NodeOptions) -> Program {
        let agent = &options.agent;
        let mut environment = control_environment(agent, &agent.credential_file);
        environment.push(("INPOD_UDS".into(), agent.zds_socket.clone().into()));
        environment.push(("READINESS_ADDR".into(), options.ztunnel_readiness.to_string().into()));
        let observed = agent.run_dir.join("observed").join("ztunnel");
        environment.push(("OBSERVE_DIR".into(), observed.into()));
        Program {
            name: name.into(),
            path: self.path,
            arguments: self.arguments,
            environment,
            netns: None,
            readiness: Some(reachable(options.ztunnel_readiness)),
            record: Some(agent.run_dir.join("ztunnel.process")),
        }
    }
}

impl WaypointLauncher for Launcher {
    fn program(&self, pod: &Pod, gateway: &str, netns: Arc<Netns>, token: &Path) -> Program {
        let mut environment = control_environment(&self.options, token);
        let ip = pod.ips.first().map(ToString::to_string).unwrap_or_default();
        for (name, value) in [
            ("POD_NAME", pod.name.clone()),
            ("POD_NAMESPACE", pod.namespace.clone()),
            ("SERVICE_ACCOUNT", pod.service_account.clone()),
            ("INSTANCE_IP", ip),
            ("GATEWAY_NAME", gateway.to_owned()),
        ] {
            environment.push((name.into(), value.into()));
        }
        let observed = self.options.run_dir.join("observed").join(file_name(&pod.full_name()));
        environment.push(("OBSERVE_DIR".into(), observed.into()));
        Program {
            name: format!("waypoint {}", pod.full_name()),
            path: self.executable.path.clone(),
            arguments: self.executable.arguments.clone(),
            environment,
            netns: Some(netns),
            readiness: Some((Ipv4Addr::LOCALHOST, WAYPOINT_READINESS).into()),
            record: None,
        }
    }
}

/// A name as that of a file: a pod's name says nothing about where files go.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(safe).collect()
}

/// How a program of this node reaches control and proves who it is.
fn control_environment(options: &AgentOptions, token: &Path) -> Vec<(String, OsString)> {
    let mut environment = vec![
        ("NODE_NAME".into(), options.node.clone().into()),
        ("CLUSTER_ID".into(), options.cluster.clone().into()),
        ("AUTH_TOKEN".into(), token.into()),
    ];
    for family in ["XDS", "CA"] {
        environment.push((format!("{family}_ADDRESS"), options.control.clone().into()));
        environment.push((format!("{family}_ROOT_CA"), options.root_ca.clone().into()));
        if let Some(name) = &options.control_name {
            environment.push((format!("ALT_{family}_HOSTNAME"), name.into()));
        }
    }
    environment
}

/// An address to connect to, for one that was listened on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}
