//! What the tasks share, and what each of them is made of.

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hbone::brand;
use hbone::serve::{MetricsPage, Server as AdminServer};
use hbone::wire::pb::ambit::node::v1::node_service_server::NodeServiceServer;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use hbone::wire::pb::istio::v1::auth::istio_certificate_service_server::IstioCertificateServiceServer;
use observe::fleet::Fleet;
use observe::http::Api;
use observe::pb::State;
use observe::pb::fleet_service_server::FleetServiceServer;
use observe::site::Website;
use observe::source::Source;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::transport::Server;
use tracing::info;

use crate::admin::{AdminPages, StatsPages};
use crate::auth::credential::Issuer;
use crate::auth::review::Reviewed;
use crate::auth::{Authenticator, IssuedCredentials};
use crate::ca::issue::Lives;
use crate::ca::metrics::CaMetrics;
use crate::ca::root::Root;
use crate::ca::service::CaService;
use crate::config::Config;
use crate::dashboard::{Dashboard, Needs};
use crate::deploy::Deployer;
use crate::deploy::leases::Leases;
use crate::engine::addresses::Addresses;
use crate::engine::{Engine, Tables};
use crate::fleet::service::FleetCalls;
use crate::fleet::{changes, pods, proofs};
use crate::jwks::fetch::Fetcher;
use crate::jwks::keeper::{Keeper, Told};
use crate::jwks::kept::Kept;
use crate::jwks::metrics::JwksMetrics;
use crate::kubernetes::observed::Observed;
use crate::kubernetes::touched::Touched;
use crate::kubernetes::writers::Writers;
use crate::kubernetes::{connect, root as root_secret};
use crate::limits;
use crate::model::object::Key;
use crate::model::world::{Site, World};
use crate::node::intake::Intake;
use crate::node::service::Nodes;
use crate::node::watch::FromNode;
use crate::prometheus::older::Older;
use crate::source::Update;
use crate::source::directory::{self, Directory};
use crate::source::kubernetes::{self, Kubernetes};
use crate::source::read::Context;
use crate::state::StateDir;
use crate::status::{self, Board};
use crate::sync;
use crate::xds::metrics::XdsMetrics;
use crate::xds::service::{Patience, XdsService};

/// What the tasks share.
pub(super) struct Parts {
    pub(super) state: StateDir,
    pub(super) root: Arc<Root>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) world: Arc<RwLock<World>>,
    pub(super) tables: Tables,
    pub(super) board: Board,
    pub(super) intake: Intake,
    pub(super) mesh_config: Key,
    /// The account of the node proxies.
    pub(super) nodes: Key,
    /// The API server, if it is the source.
    pub(super) client: Option<kube::Client>,
    pub(super) observed: Observed,
    pub(super) touched: Touched,
    /// Addresses that hosts of ServiceEntries have.
    given: Gauge,
    /// Who remembers what runs.
    pub(super) fleet: Fleet,
}

impl Parts {
    pub(super) async fn open(config: &Config) -> Result<Self> {
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
        let own = crate::fleet::recorder(&config.state, &replica());
        let (of_world, of_root) = (world.clone(), root.not_after());
        own.tell_state(move || State {
            certificates: vec![crate::fleet::authority(of_root)],
            ..pods::state(&sync::read(&of_world))
        });
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
            given: Gauge::default(),
            fleet: Fleet::new(own),
        })
    }

    fn context(&self) -> Context {
        Context { mesh_config: self.mesh_config.clone(), has_status: self.client.is_some() }
    }

    /// What writes to the API server, if there is one.
    pub(super) fn writers(&self, config: &Config) -> Option<Writers> {
        let (observed, touched) = (self.observed.clone(), self.touched.clone());
        let client = self.client.clone()?;
        let (world, board) = (self.world.clone(), self.board.clone());
        Some(Writers::new(client, config, observed, world, board, touched, replica()))
    }

    /// What reads the objects, to be spawned.
    pub(super) fn source(
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

    pub(super) fn services(
        &self,
        config: &Config,
        reports: mpsc::Sender<FromNode>,
        leading: watch::Receiver<bool>,
        registry: &mut Registry,
    ) -> tonic::transport::server::Router {
        registry.register(
            format!("{}_given_addresses", brand::METRIC_PREFIX),
            "Addresses that hosts of ServiceEntries were given",
            self.given.clone(),
        );
        status::metrics::register(registry, self.board.clone());
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
        let calls = FleetCalls {
            fleet: self.fleet.clone(),
            authenticator: authenticator.clone(),
            world: self.world.clone(),
            leading,
        };
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
            .add_service(
                FleetServiceServer::new(calls).max_decoding_message_size(limits::MAX_ANSWER_BYTES),
            )
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

    pub(super) async fn stats(
        &self,
        config: &Config,
        registry: Arc<Registry>,
    ) -> Result<Option<AdminServer>> {
        let Some(address) = config.stats else { return Ok(None) };
        let pages = StatsPages { metrics: MetricsPage(registry), board: self.board.clone() };
        let bound = AdminServer::bind(address, Arc::new(pages)).await;
        bound.map(Some).with_context(|| format!("cannot listen on {address}"))
    }

    /// The pages of the fleet, and what they ask.
    ///
    /// # Errors
    /// If a Prometheus is named in a way that cannot be used.
    pub(super) fn site(&self, config: &Config) -> Result<Arc<Website>> {
        let source: Arc<dyn Source> = match config.prometheus()? {
            Some(prometheus) => Arc::new(Older::new(self.fleet.clone(), prometheus)),
            None => Arc::new(self.fleet.clone()),
        };
        let api = Api::new(source, env!("CARGO_PKG_VERSION"), &config.cluster);
        Ok(Arc::new(Website::new(api)))
    }

    /// The same for others than this machine, if they are asked for.
    pub(super) async fn dashboard(
        &self,
        config: &Config,
        site: Arc<Website>,
        leading: watch::Receiver<bool>,
        registry: &mut Registry,
    ) -> Result<Option<Dashboard>> {
        let Some(plan) = config.dashboard.plan(config.kubernetes)? else { return Ok(None) };
        let between = self.root.chain();
        let needs = Needs {
            site,
            client: self.client.clone(),
            leading,
            mesh: between.chain([self.root.pem()]).collect::<Vec<_>>().join("\n"),
            namespace: &config.system_namespace,
        };
        Dashboard::open(&plan, needs, registry).await.map(Some)
    }

    pub(super) async fn admin(
        &self,
        config: &Arc<Config>,
        registry: Arc<Registry>,
        site: Arc<Website>,
    ) -> Result<AdminServer> {
        let pages = AdminPages {
            metrics: MetricsPage(registry),
            board: self.board.clone(),
            tables: self.tables.clone(),
            world: self.world.clone(),
            config: config.clone(),
            site,
        };
        AdminServer::bind(config.admin, Arc::new(pages))
            .await
            .with_context(|| format!("cannot listen on {}", config.admin))
    }

    /// What fetches the keys of issuers.
    pub(super) fn keeper(
        &self,
        config: &Config,
        told: mpsc::Sender<Told>,
        registry: &mut Registry,
    ) -> Keeper {
        let fetcher = Fetcher::new(&config.jwks_local_hosts);
        let metrics = JwksMetrics::register(registry);
        Keeper::new(fetcher, Kept::new(self.state.clone()), metrics, told)
    }

    /// The one task that changes the world.
    pub(super) async fn run(
        mut self,
        mut source: mpsc::Receiver<Update>,
        mut reports: mpsc::Receiver<FromNode>,
        keeper: Keeper,
        mut fetched: mpsc::Receiver<Told>,
    ) {
        let deployer = if self.client.is_some() {
            Deployer::idle()
        } else {
            Deployer::new(Leases::load(self.state.clone()))
        };
        let (tables, board) = (self.tables.clone(), self.board.clone());
        let addresses = if self.client.is_some() {
            Addresses::default()
        } else {
            Addresses::load(self.state.clone(), &mut sync::write(&self.world))
        };
        let engine = Engine::new(self.world.clone(), tables, board, deployer);
        let mut engine = engine.keeping(addresses).counting(self.given.clone());
        // Ends with this task, which holds the other end.
        tokio::spawn(keeper.run(engine.wanted()));
        let mut batch = Vec::new();
        // In a cluster there is nobody who reports to us.
        let mut reporting = true;
        loop {
            tokio::select! {
                update = source.recv() => match update {
                    Some(update) => {
                        // What is there at the start was not changed now.
                        if engine.is_synced() {
                            changes::tell(self.fleet.own(), &self.world, &update);
                            let world = sync::read(&self.world);
                            proofs::tell_annotated(self.fleet.own(), &world, &update);
                        }
                        engine.update(update);
                    }
                    None => return,
                },
                n = reports.recv_many(&mut batch, 256), if reporting => {
                    reporting = n > 0;
                    if engine.is_synced() {
                        let world = sync::read(&self.world);
                        proofs::tell_reported(self.fleet.own(), &world, &batch);
                    }
                    self.intake.take(&mut engine, std::mem::take(&mut batch)).await;
                }
                Some((url, keys)) = fetched.recv() => engine.fetched(&url, keys),
                () = self.intake.due() => self.intake.fall_silent(&mut engine),
                () = engine.due() => engine.advance(),
            }
        }
    }
}

/// The name of this replica: of its pod, or of the machine.
pub(super) fn replica() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = named("POD_NAME").or_else(machine).unwrap_or_default();
    name.trim().chars().take(200).collect()
}
