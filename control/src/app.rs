//! All tasks, wired in one place.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hbone::serve::{MetricsPage, Server as AdminServer};
use hbone::wire::pb::ambit::node::v1::node_service_server::NodeServiceServer;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use hbone::wire::pb::istio::v1::auth::istio_certificate_service_server::IstioCertificateServiceServer;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::admin::{AdminPages, StatsPages};
use crate::auth::credential::Issuer;
use crate::auth::review::Reviewed;
use crate::auth::{Authenticator, IssuedCredentials};
use crate::ca::issue::Lives;
use crate::ca::metrics::CaMetrics;
use crate::ca::root::Root;
use crate::ca::service::CaService;
use crate::config::Config;
use crate::deploy::Deployer;
use crate::deploy::leases::Leases;
use crate::engine::{Engine, Tables};
use crate::kubernetes::leader::Candidate;
use crate::kubernetes::observed::Observed;
use crate::kubernetes::touched::Touched;
use crate::kubernetes::writers::Writers;
use crate::kubernetes::{connect, root as root_secret, trust};
use crate::limits;
use crate::listen::{self, ServerCert};
use crate::model::object::Key;
use crate::model::world::{Site, World};
use crate::node::intake::Intake;
use crate::node::service::Nodes;
use crate::node::watch::FromNode;
use crate::source::Update;
use crate::source::directory::{self, Directory};
use crate::source::kubernetes::{self, Kubernetes};
use crate::source::read::Context;
use crate::state::StateDir;
use crate::status::{self, Board};
use crate::xds::metrics::XdsMetrics;
use crate::xds::service::{Patience, XdsService};

/// How long streams may take to end when the control plane stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The control plane.
#[derive(Debug)]
pub struct App;

/// A control plane that runs. Dropping it stops it at once; see [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    admin: SocketAddr,
    root_pem: String,
    board: Board,
    tables: Tables,
    stop: CancellationToken,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    /// Holds the Lease by which this replica may write to the API server.
    candidate: Option<JoinHandle<()>>,
}

impl App {
    /// Starts: opens the state, binds both listeners, reads the source. Returns when it
    /// listens; until the source has a state, discovery refuses streams.
    ///
    /// # Errors
    /// The state directory, the root, an address, the configuration.
    pub async fn start(config: Config) -> Result<Running> {
        Self::start_with(config, Registry::default()).await
    }

    /// The same, with a registry that has metrics of the process already.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(config: Config, mut registry: Registry) -> Result<Running> {
        config.check()?;
        let config = Arc::new(config);
        let parts = Parts::open(&config).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let names = config.names();
        let certificate = ServerCert::new(parts.root.clone(), names)?;
        let stop = CancellationToken::new();

        let (updates, source) = mpsc::channel(4);
        let reading = parts.source(&config, updates)?;
        let (reported, reports) = mpsc::channel(256);
        let services = parts.services(&config, reported, &mut registry);
        let registry = Arc::new(registry);
        let admin = parts.admin(&config, registry.clone()).await?;
        let admin_address = admin.local_addr()?;
        let stats = parts.stats(&config, registry).await?;

        let acceptor = certificate.acceptor()?;
        let connections = listen::accept(listener, acceptor, stop.clone());
        let serve = services.serve_with_incoming_shutdown(
            ReceiverStream::new(connections),
            stop.clone().cancelled_owned(),
        );
        let server = tokio::spawn(async move {
            if let Err(error) = serve.await {
                warn!(%error, "serving ended");
            }
        });
        info!(%address, admin = %admin_address, "control plane listens");
        let (board, state) = (parts.board.clone(), parts.state.clone());
        let tables = parts.tables.clone();
        let root_pem = parts.root.pem().to_owned();
        let (leads, leading) = watch::channel(false);
        let trust = parts
            .client
            .clone()
            .map(|client| trust::run(client, root_pem.clone(), leading.clone()));
        let writers = parts.writers(&config).map(|writers| writers.run(leading));
        let candidate = parts.client.clone().map(|client| {
            let candidate = Candidate::new(client, &config.system_namespace, &replica());
            tokio::spawn(candidate.run(leads, stop.clone()))
        });
        let mut tasks = vec![
            tokio::spawn(reading),
            tokio::spawn(parts.run(source, reports)),
            tokio::spawn(status::write(board.clone(), state)),
            tokio::spawn(certificate.keep()),
            tokio::spawn(admin.run(stop.clone())),
        ];
        tasks.extend(trust.map(tokio::spawn));
        tasks.extend(writers.map(tokio::spawn));
        tasks.extend(stats.map(|stats| tokio::spawn(stats.run(stop.clone()))));
        let admin = admin_address;
        Ok(Running { address, admin, root_pem, board, tables, stop, server, tasks, candidate })
    }
}

impl Running {
    /// The address of discovery, certificates and the node service.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the administrative pages.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The root bundle, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Conditions and problems.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What is served.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Waits until the source has a state to serve.
    pub async fn ready(&self) {
        let mut changes = self.board.subscribe();
        while !self.board.synced() && changes.changed().await.is_ok() {}
    }

    /// Stops: no new connections, streams end, proxies keep what they hold.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Discovery streams end with the bell; a client that does not let go is left behind.
        for task in &self.tasks {
            task.abort();
        }
        if let Some(candidate) = &mut self.candidate
            && tokio::time::timeout(STOP_TIMEOUT, &mut *candidate).await.is_err()
        {
            candidate.abort();
        }
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
        info!("control plane stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
        for task in self.tasks.iter().chain(&self.candidate) {
            task.abort();
        }
    }
}

/// What the tasks share.
struct Parts {
    state: StateDir,
    root: Arc<Root>,
    issuer: Arc<Issuer>,
    world: Arc<RwLock<World>>,
    tables: Tables,
    board: Board,
    intake: Intake,
    mesh_config: Key,
    /// The account of the node proxies.
    nodes: Key,
    /// The API server, if it is the source.
    client: Option<kube::Client>,
    observed: Observed,
    touched: Touched,
}

impl Parts {
    async fn open(config: &Config) -> Result<Self> {
        let state = StateDir::open(&config.state)?;
        let (client, root) = if config.kubernetes {
            let client = connect::client(config.kubeconfig.as_deref()).await?;
            let root = root_secret::open(client.clone(), &config.system_namespace).await?;
            (Some(client), root)
        } else {
            (None, Root::open(&state, SystemTime::now())?)
        };
        let nodes = Key::new(&config.system_namespace, &config.node_account);
        let issuer = Arc::new(Issuer::open(&state, nodes.clone(), config.credential_life)?);
        let world = World::new(Site {
            cluster: config.cluster.clone(),
            network: config.network.clone(),
            system_namespace: config.system_namespace.clone(),
            domain: config.cluster_domain.clone(),
            kubernetes: config.kubernetes,
        });
        let world = Arc::new(RwLock::new(world));
        let intake = Intake::open(state.clone(), world.clone(), config.node_grace);
        let touched = Touched::default();
        let board =
            if client.is_some() { Board::telling(touched.clone()) } else { Board::default() };
        Ok(Self {
            state,
            root: Arc::new(root),
            issuer,
            world,
            tables: Tables::default(),
            board,
            intake,
            mesh_config: Key::new(&config.system_namespace, "istio"),
            nodes,
            client,
            observed: Observed::default(),
            touched,
        })
    }

    fn context(&self) -> Context {
        Context { mesh_config: self.mesh_config.clone() }
    }

    /// What writes to the API server, if there is one.
    fn writers(&self, config: &Config) -> Option<Writers> {
        let (observed, touched) = (self.observed.clone(), self.touched.clone());
        let client = self.client.clone()?;
        let (world, board) = (self.world.clone(), self.board.clone());
        Some(Writers::new(client, config, observed, world, board, touched, replica()))
    }

    /// What reads the objects, to be spawned.
    fn source(
        &self,
        config: &Config,
        updates: mpsc::Sender<Update>,
    ) -> Result<BoxFuture<'static, ()>> {
        if let Some(client) = self.client.clone() {
            let server = Kubernetes::new(client, self.context(), self.observed.clone());
            return Ok(kubernetes::run(server, updates).boxed());
        }
        info!(directory = %config.directory.display(), "objects come from a directory");
        let directory = Directory::open(&config.directory, self.context(), &self.state)?;
        Ok(directory::run(directory, updates).boxed())
    }

    fn services(
        &self,
        config: &Config,
        reports: mpsc::Sender<FromNode>,
        registry: &mut Registry,
    ) -> tonic::transport::server::Router {
        let authenticator = self.authenticator();
        let lives = Lives { default: config.certificate_life, max: config.max_certificate_life };
        let ca = CaService::new(
            self.root.clone(),
            self.world.clone(),
            authenticator.clone(),
            lives,
            CaMetrics::register(registry, self.root.not_after()),
        );
        let xds = XdsService::new(
            self.tables.clone(),
            self.board.clone(),
            authenticator.clone(),
            XdsMetrics::register(registry),
            Patience {
                max_age: config.max_stream_age,
                acknowledgement: config.subscriber_patience,
            },
        );
        let nodes = Nodes {
            state: self.state.clone(),
            issuer: self.issuer.clone(),
            authenticator,
            world: self.world.clone(),
            tables: self.tables.clone(),
            board: self.board.clone(),
            reports,
            streams: Arc::new(Semaphore::new(limits::MAX_STREAMS)),
        };
        let small = limits::MAX_SMALL_REQUEST_BYTES;
        // In a cluster nodes ask the API server, and nobody joins with a token of ours.
        let nodes = self
            .client
            .is_none()
            .then(|| NodeServiceServer::new(nodes).max_decoding_message_size(small));
        Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .add_service(
                AggregatedDiscoveryServiceServer::new(xds)
                    .max_decoding_message_size(limits::MAX_REQUEST_BYTES),
            )
            .add_service(IstioCertificateServiceServer::new(ca).max_decoding_message_size(small))
            .add_optional_service(nodes)
    }

    /// Who tells who calls.
    fn authenticator(&self) -> Arc<dyn Authenticator> {
        let (world, board) = (self.world.clone(), self.board.clone());
        match self.client.clone() {
            Some(client) => Arc::new(Reviewed::new(client, world, board, self.nodes.clone())),
            None => Arc::new(IssuedCredentials::new(self.issuer.clone(), world)),
        }
    }

    async fn stats(&self, config: &Config, registry: Arc<Registry>) -> Result<Option<AdminServer>> {
        let Some(address) = config.stats else { return Ok(None) };
        let pages = StatsPages { metrics: MetricsPage(registry), board: self.board.clone() };
        let bound = AdminServer::bind(address, Arc::new(pages)).await;
        bound.map(Some).with_context(|| format!("cannot listen on {address}"))
    }

    async fn admin(&self, config: &Arc<Config>, registry: Arc<Registry>) -> Result<AdminServer> {
        let pages = AdminPages {
            metrics: MetricsPage(registry),
            board: self.board.clone(),
            tables: self.tables.clone(),
            config: config.clone(),
        };
        AdminServer::bind(config.admin, Arc::new(pages))
            .await
            .with_context(|| format!("cannot listen on {}", config.admin))
    }

    /// The one task that changes the world.
    async fn run(
        mut self,
        mut source: mpsc::Receiver<Update>,
        mut reports: mpsc::Receiver<FromNode>,
    ) {
        let deployer = if self.client.is_some() {
            Deployer::idle()
        } else {
            Deployer::new(Leases::load(self.state.clone()))
        };
        let (tables, board) = (self.tables.clone(), self.board.clone());
        let mut engine = Engine::new(self.world.clone(), tables, board, deployer);
        let mut batch = Vec::new();
        // In a cluster there is nobody who reports to us.
        let mut reporting = true;
        loop {
            tokio::select! {
                update = source.recv() => match update {
                    Some(update) => engine.update(update),
                    None => return,
                },
                n = reports.recv_many(&mut batch, 256), if reporting => {
                    reporting = n > 0;
                    self.intake.take(&mut engine, std::mem::take(&mut batch)).await;
                }
                () = self.intake.due() => self.intake.fall_silent(&mut engine),
                () = engine.due() => engine.advance(),
            }
        }
    }
}

/// The name of this replica: of its pod, or of the machine.
fn replica() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = named("POD_NAME").or_else(machine).unwrap_or_default();
    name.trim().chars().take(200).collect()
}
