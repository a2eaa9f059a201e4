//! The agent as a program: its settings, where it hears of pods, its HTTP pages.
//!
//! - [`options`]: what a user sets
//! - [`cluster`]: the agent of a Kubernetes node
//! - [`pages`]: readiness, liveness, metrics

pub mod cluster;
pub mod options;
mod pages;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hbone::channel::{
    AddressError, ChannelConfig, ChannelError, ControlPlane, CredentialError, Credentials, Roots,
    Token,
};
use hbone::serve::Server;
use hbone::telemetry::{Logging, process};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::agent::{Agent, AgentConfig, AgentError};
use crate::enrolment::Timing;
use crate::redirect::host::HostProbes;
use crate::source::control::ControlSource;
use crate::source::credential::{Credential, CredentialFiles};
use cluster::ClusterAgent;
pub use options::AgentOptions;
use pages::{AgentPages, Health};

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The server address is none.
    #[error("XDS_ADDRESS")]
    Address(#[from] AddressError),
    /// The way to `control` is not set up.
    #[error("the way to control")]
    Channel(#[from] ChannelError),
    /// The cluster name cannot be sent.
    #[error("CLUSTER_ID")]
    Name(#[from] CredentialError),
    /// There is no way to the API server.
    #[error("no usable way to the API server: {0}; give --kubeconfig, or run in a pod")]
    Cluster(String),
    /// The DaemonSet's name is none.
    #[error("--daemonset is {0:?}; write namespace/name")]
    DaemonSet(String),
    /// The agent itself.
    #[error("the agent")]
    Agent(#[from] AgentError),
    /// A page's address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A started agent and its way to `control`.
#[derive(Clone)]
pub struct Service {
    /// The agent.
    pub agent: Agent,
    /// The way to `control`, with the node credential.
    pub control: ControlPlane,
    /// Whether there is a node credential, now and later.
    pub credential: watch::Receiver<bool>,
}

/// Runs the agent of a machine or, if the options say so, of a Kubernetes node, until
/// `stopped`. Redirection stays as it is. `logging` is the process's.
///
/// # Errors
/// See [`ServiceError`].
pub async fn run(
    options: &AgentOptions,
    logging: &Logging,
    stopped: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let stop = CancellationToken::new();
    let cluster = if options.kubernetes.enabled {
        Some(ClusterAgent::start(options, logging, stop.clone()).await?)
    } else {
        Service::start(options, logging, stop.clone()).await?;
        None
    };
    stopped.await;
    info!("agent stops; redirection stays as it is");
    stop.cancel();
    if let Some(cluster) = cluster {
        cluster.clean_up().await;
    }
    Ok(())
}

impl Service {
    /// Starts everything; its tasks end with `stop`.
    pub async fn start(
        options: &AgentOptions,
        logging: &Logging,
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        let control = way(options, Token::File(options.credential_file.clone()))?;
        let files = CredentialFiles {
            join_token: options.join_token_file.clone(),
            credential: options.credential_file.clone(),
        };
        let join = way(options, Token::Absent)?;
        let keeper = Credential::new(join, control.clone(), files, options.node.clone());
        let (valid, credential) = watch::channel(false);

        let config = AgentConfig {
            run_dir: options.run_dir.clone(),
            zds_socket: options.zds_socket.clone(),
            exclusions: options.exclusions(),
            timing: Timing::default(),
            probes: HostProbes::default(),
        };
        let source = ControlSource::new(control.clone(), credential.clone());
        let mut registry = registry(logging);
        let agent = Agent::start(config, source, &mut registry, stop.clone())?;
        let health = Arc::new(Health { synced: agent.synced(), installed: None });
        let metrics = Arc::new(AgentPages::new(agent.clone(), registry));
        let health = listen(options.health_addr, health).await?;
        let metrics = listen(options.metrics_addr, metrics).await?;
        tokio::spawn(keeper.keep(valid, stop.clone()));
        tokio::spawn(health.run(stop.clone()));
        tokio::spawn(metrics.run(stop));
        Ok(Self { agent, control, credential })
    }
}

/// A registry with what the process says of itself.
fn registry(logging: &Logging) -> Registry {
    let mut registry = Registry::default();
    process::register(&mut registry, "node", env!("CARGO_PKG_VERSION"));
    logging.register(&mut registry);
    registry
}

fn way(options: &AgentOptions, token: Token) -> Result<ControlPlane, ServiceError> {
    let config = ChannelConfig {
        servers: vec![options.control.parse()?],
        alternative_hostname: options.control_name.clone(),
        roots: Roots::from_setting(&options.root_ca),
        credentials: Credentials::new(token, &options.cluster, [])?,
        connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
    };
    Ok(ControlPlane::new(config)?)
}

async fn listen(
    address: SocketAddr,
    pages: Arc<dyn hbone::serve::Pages>,
) -> Result<Server, ServiceError> {
    let bound = Server::bind(address, pages).await;
    bound.map_err(|source| ServiceError::Listen { address, source })
}
