//! All tasks of a waypoint, wired in one place.
//!
//! Two runtimes: connections have their own threads; discovery, certificates and the pages run
//! on another, and cannot stall them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hbone::ca::CaClient;
use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, ServerUrl, Token};
use hbone::resolve::{Resolver, ResolverMetrics, System};
use hbone::serve::{AdminPages, MetricsPage, Pages, Readiness, ReadinessPage, Server};
use hbone::telemetry::{LogFormat, Logging, process};
use hbone::tls::WorkloadCertificate;
use hbone::tunnel::{Direct, Drain, Pool, PoolMetrics};
use hbone::xds::{Client, NodeInfo, XdsMetrics};
use observe::home;
use observe::http::Api;
use observe::recorder::{Recorder, collector};
use observe::site::Website;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::account::Accounts;
use crate::engine::Engine;
use crate::listen::{Listener, ServerTls};
use crate::record::Metrics;
use crate::state::State;
use crate::upstream::connect::Mesh;
use crate::upstream::forward::Forwarder;
use crate::upstream::pool::Connections;
pub use config::{Config, ConfigError};

mod certificate;
mod config;
mod dump;
mod observed;

/// How often idle connections are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(30);

/// A wired waypoint.
pub struct App {
    config: Config,
    registry: Registry,
    state: Arc<State>,
    quit: CancellationToken,
}

/// Runs a waypoint as its environment says, until SIGTERM, SIGINT or `/quitquitquit`.
///
/// Blocks the calling thread, which must belong to no runtime.
pub fn run_from_env() -> anyhow::Result<()> {
    let config = Config::from_env()?;
    let format: LogFormat = std::env::var("LOG_FORMAT").unwrap_or_default().parse()?;
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()).parse()?;
    let logging = Logging::install(format, levels)?;
    let outcome = App::new(config).run(&logging);
    logging.flush();
    outcome
}

impl App {
    /// A waypoint that does nothing yet.
    pub fn new(config: Config) -> Self {
        let mut registry = Registry::default();
        process::register(&mut registry, "waypoint", env!("CARGO_PKG_VERSION"));
        Self { config, registry, state: Arc::default(), quit: CancellationToken::new() }
    }

    /// Cancelling it drains the waypoint.
    pub fn quit(&self) -> CancellationToken {
        self.quit.clone()
    }

    /// Runs until told to quit, and drains. Blocks the calling thread, which must belong to
    /// no runtime.
    pub fn run(self, logging: &Logging) -> anyhow::Result<()> {
        let data = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.worker_threads)
            .thread_name("data")
            .enable_all()
            .build()
            .context("cannot start the threads of the data path")?;
        let control = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the control thread")?;
        let outcome = control.block_on(self.serve(data.handle().clone(), logging));
        data.shutdown_background();
        outcome
    }

    async fn serve(mut self, data: Handle, logging: &Logging) -> anyhow::Result<()> {
        let readiness = Readiness::new();
        let mut state_known = readiness.task("state");
        let mut certified = readiness.task("certificate");
        let recorder = observed::recorder(&self.config);
        let discovery = self.discovery()?.telling(recorder.discovery(observed::WATCHED));
        let mut synced = discovery.synced();
        let certificates = self.certificates()?;
        let (raise, drain) = Drain::channel();
        let engine = Arc::new(self.engine(certificates.clone(), recorder.clone()));
        let drained = CancellationToken::new();
        let keep = drained.clone();
        let collected = self.remember(&recorder, certificates.clone(), readiness.clone(), keep)?;
        logging.register(&mut self.registry);
        self.pages(readiness, certificates.clone(), logging, recorder.clone()).await?;
        tokio::spawn(discovery.run(self.quit.clone()));
        tokio::spawn(quit_at_signal(self.quit.clone()));
        data.spawn(prune(Arc::clone(&engine)));

        let mut first = certificates.clone();
        let quit = self.quit.clone();
        let ready = async {
            let known = synced.wait().await;
            let certified = first.wait_for(Option::is_some).await.is_ok();
            known && certified
        };
        let tasks = TaskTracker::new();
        let ready = tokio::select! { ready = ready => ready, () = quit.cancelled() => false };
        if ready {
            let config = Arc::new(self.config.tunnel.clone());
            let certificate = certificates;
            let tls = ServerTls::default();
            let listener = Listener { engine, certificate, tls, config, drain };
            let listener = Arc::new(listener);
            let address = self.config.hbone;
            let tcp = TcpListener::bind(address).await;
            let tcp = tcp.with_context(|| format!("cannot listen on {address} (HBONE_ADDR)"))?;
            // The listener belongs to the data path's threads.
            let tcp = tcp.into_std()?;
            let accepting = tasks.clone();
            data.spawn(async move {
                match TcpListener::from_std(tcp) {
                    Ok(tcp) => listener.run(tcp, accepting).await,
                    Err(error) => warn!(%error, "cannot accept connections"),
                }
            });
            state_known.set_ready(true);
            certified.set_ready(true);
            info!(%address, identity = %self.config.identity, "waypoint ready");
            quit.cancelled().await;
        }
        state_known.set_ready(false);
        let deadline = self.config.drain_deadline;
        info!(?deadline, "draining");
        let name = observed::title(&self.config);
        recorder.event("stopped", "info", name, "the waypoint stops, and drains".to_owned());
        let _ = raise.send(true);
        tasks.close();
        if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
            warn!(open = tasks.len(), "connections cut at the end of the drain");
        }
        // The last step is kept too.
        drained.cancel();
        let _ = collected.await;
        Ok(())
    }

    /// Keeps what happens, and answers control's questions about it.
    fn remember(
        &self,
        recorder: &Recorder,
        certificates: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
        readiness: Readiness,
        drained: CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let (state, identity) = (Arc::clone(&self.state), self.config.identity.clone());
        recorder.tell_state(move || {
            let held = certificates.borrow().clone();
            observed::state(&state, &identity, held.as_deref(), readiness.is_ready())
        });
        let name = observed::title(&self.config);
        recorder.event("started", "info", name, "the waypoint started".to_owned());
        tokio::spawn(home::run(recorder.clone(), self.control()?, self.quit.clone()));
        Ok(tokio::spawn(collector::run(recorder.clone(), drained)))
    }

    fn engine(
        &mut self,
        certificates: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
        recorder: Recorder,
    ) -> Engine {
        let tunnel = Arc::new(self.config.tunnel.clone());
        observe::metrics::register(&mut self.registry, recorder.clone());
        let counting = recorder.clone();
        let pools =
            PoolMetrics::register(&mut self.registry).telling(move |good| counting.handshake(good));
        let names = ResolverMetrics::register(&mut self.registry);
        let resolver = Resolver::new(System::default(), Handle::current(), names);
        let timeout = tunnel.connect_timeout;
        let mesh = Mesh::new(Pool::new(Arc::new(Direct), tunnel, pools), certificates, timeout);
        Engine {
            state: Arc::clone(&self.state),
            forwarder: Arc::new(Forwarder::new(Connections::new(Arc::new(mesh)), resolver)),
            metrics: Arc::new(Metrics::register(&mut self.registry).remembering(recorder)),
            identity: self.config.identity.clone(),
            own_ip: self.config.instance_ip,
            checks: Arc::default(),
            accounts: Accounts::default(),
        }
    }

    fn certificates(&self) -> anyhow::Result<watch::Receiver<Option<Arc<WorkloadCertificate>>>> {
        let config = &self.config;
        let control = self
            .control_plane(
                &config.ca_address,
                config.alt_ca_hostname.as_deref(),
                &config.ca_root_ca,
            )
            .context("CA_ADDRESS, CA_ROOT_CA and AUTH_TOKEN say how to reach the authority")?;
        let (sender, receiver) = watch::channel(None);
        let client = CaClient::new(control);
        tokio::spawn(certificate::keep(
            client,
            config.identity.clone(),
            config.secret_ttl,
            sender,
            self.quit.clone(),
        ));
        Ok(receiver)
    }

    /// Discovery's server, which also asks for what is remembered here.
    fn control(&self) -> anyhow::Result<ControlPlane> {
        let config = &self.config;
        let (alternative, root) = (config.alt_xds_hostname.as_deref(), &config.xds_root_ca);
        self.control_plane(&config.xds_address, alternative, root)
            .context("XDS_ADDRESS, XDS_ROOT_CA and AUTH_TOKEN say how to reach discovery")
    }

    fn discovery(&mut self) -> anyhow::Result<Client> {
        let control = self.control()?;
        let config = &self.config;
        let mut metadata = NodeInfo::metadata_from_env(std::env::vars())
            .map_err(|(name, error)| anyhow::anyhow!("{name} is no JSON: {error}"))?;
        let gateway = prost_types::value::Kind::StringValue(config.gateway.clone());
        metadata.insert("GATEWAY_NAME".to_owned(), prost_types::Value { kind: Some(gateway) });
        let node = NodeInfo {
            kind: "waypoint".to_owned(),
            ip: config.instance_ip,
            pod: config.pod_name.clone(),
            namespace: config.identity.namespace().to_owned(),
            service_account: config.identity.service_account().to_owned(),
            node: config.node.clone(),
            cluster_domain: config.cluster_domain.clone(),
            metadata,
        };
        let metrics = XdsMetrics::register(&mut self.registry);
        Ok(self.state.watch(Client::new(control, &node, metrics)))
    }

    fn control_plane(
        &self,
        addresses: &str,
        alternative_hostname: Option<&str>,
        roots: &str,
    ) -> anyhow::Result<ControlPlane> {
        let servers: Result<Vec<ServerUrl>, _> =
            addresses.split(',').map(|a| a.trim().parse()).collect();
        let token = Token::from_setting(&self.config.auth_token);
        Ok(ControlPlane::new(ChannelConfig {
            servers: servers?,
            alternative_hostname: alternative_hostname.map(str::to_owned),
            roots: Roots::from_setting(roots),
            credentials: Credentials::new(token, &self.config.cluster, [])?,
            connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
        })?)
    }

    async fn pages(
        &mut self,
        readiness: Readiness,
        certificate: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
        logging: &Logging,
        recorder: Recorder,
    ) -> anyhow::Result<()> {
        let registry = std::mem::take(&mut self.registry);
        let (config, state) = (self.config.clone(), Arc::clone(&self.state));
        let dump = move || {
            let certificate = certificate.borrow().clone();
            dump::config_dump(&config, &state.world(), certificate.as_deref())
        };
        let api = Api::new(Arc::new(recorder), env!("CARGO_PKG_VERSION"), &self.config.cluster);
        let admin = AdminPages::new("waypoint", self.quit.clone())
            .logging(logging.clone())
            .dump(dump)
            .more(Arc::new(Website::new(api)));
        let pages: [(&str, _, Arc<dyn Pages>); 3] = [
            ("ADMIN_ADDR", self.config.admin, Arc::new(admin)),
            ("STATS_ADDR", self.config.stats, Arc::new(MetricsPage(Arc::new(registry)))),
            ("READINESS_ADDR", self.config.readiness, Arc::new(ReadinessPage(readiness))),
        ];
        for (variable, address, pages) in pages {
            let server = Server::bind(address, pages)
                .await
                .with_context(|| format!("cannot listen on {address} ({variable})"))?;
            tokio::spawn(server.run(CancellationToken::new()));
        }
        Ok(())
    }
}

async fn prune(engine: Arc<Engine>) {
    let mut every = tokio::time::interval(PRUNE_EVERY);
    loop {
        every.tick().await;
        engine.forwarder.connections().prune();
    }
}

async fn quit_at_signal(quit: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        warn!("cannot listen to signals; use /quitquitquit to drain");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    quit.cancel();
}
