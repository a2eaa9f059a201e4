//! All tasks of a node proxy, wired in one place.
//!
//! Two runtimes: connections have their own threads; discovery, certificates, the node agent
//! and the pages run on another, and cannot stall them.

mod dump;
mod observed;
mod pods;
mod servers;
mod upstream;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use hbone::netns::Netns;
use hbone::resolve::{Resolver, ResolverMetrics, System};
use hbone::serve::Readiness;
use hbone::telemetry::{Logging, process};
use hbone::tunnel::PoolMetrics;
use hbone::xds::Synced;
use observe::home;
use observe::recorder::collector;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cert::{CertSettings, Certificates};
use crate::config::Config;
use crate::decide::OwnPorts;
use crate::proxy::Shared;
use crate::record::ConnectionMetrics;
use crate::state::{State, StaticState};
use crate::text;
use crate::workload::{WorkloadManager, WorkloadMetrics, WorkloadView};
use pods::Pods;

/// Runs a node proxy until SIGTERM, SIGINT or `/quitquitquit`, and drains it.
///
/// Blocks the calling thread, which must belong to no runtime.
pub fn run(config: Config, logging: &Logging) -> anyhow::Result<()> {
    let data = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.worker_threads)
        .thread_name("data")
        .enable_all()
        .build()
        .context("cannot start the threads of the data path")?;
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    let handle = data.handle().clone();
    let result = control.block_on(async {
        let app = App::wire(config, handle)?;
        app.serve(logging).await
    });
    logging.flush();
    data.shutdown_background();
    result
}

/// What the pages show.
#[derive(Clone)]
struct Served {
    shared: Arc<Shared>,
    pods: Arc<Pods>,
    view: WorkloadView,
}

/// A wired node proxy.
struct App {
    shared: Arc<Shared>,
    readiness: Readiness,
    registry: Registry,
    quit: CancellationToken,
}

impl App {
    fn wire(config: Config, data: Handle) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        process::register(&mut registry, "ztunnel", env!("CARGO_PKG_VERSION"));
        let recorder = observed::recorder(&config);
        let metrics = ConnectionMetrics::register(&mut registry).remembering(recorder.clone());
        observe::metrics::register(&mut registry, recorder.clone());
        let counting = recorder.clone();
        let pools =
            PoolMetrics::register(&mut registry).telling(move |good| counting.handshake(good));
        let names = ResolverMetrics::register(&mut registry);
        let issuer = Arc::new(upstream::issuer(&config)?);
        let certificates = CertSettings { recorder, ..CertSettings::default() };
        let shared = Shared {
            state: Arc::new(State::new(config.place.clone())),
            certificates: Arc::new(Certificates::new(issuer, certificates)),
            metrics: Arc::new(metrics),
            pools,
            resolver: Resolver::new(System::default(), Handle::current(), names),
            home: Arc::new(Netns::current()?),
            own_ports: OwnPorts::default(),
            data,
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
            readiness: Readiness::new(),
            registry,
            quit: CancellationToken::new(),
        })
    }

    async fn serve(mut self, logging: &Logging) -> anyhow::Result<()> {
        let mut state_known = self.readiness.task("state manager");
        let synced = self.follow_state()?;
        let pods = Arc::new(Pods::new(Arc::clone(&self.shared)));
        let agent = WorkloadManager::new(
            self.shared.config.agent_socket.clone(),
            Arc::clone(&pods),
            WorkloadMetrics::register(&mut self.registry)
                .remembering(self.shared.metrics.recorder().clone()),
            self.readiness.task(WorkloadManager::<Pods>::TASK),
        );
        logging.register(&mut self.registry);
        let Self { shared, readiness, registry, quit } = self;
        let served = Served { shared: Arc::clone(&shared), pods, view: agent.view() };
        let drained = CancellationToken::new();
        let collected = remember(&served, readiness.clone(), &quit, drained.clone())?;
        servers::start(&served, readiness, registry, logging, &quit).await?;
        tokio::spawn(prefetch(Arc::clone(&shared), quit.clone()));
        tokio::spawn(quit_at_signal(quit.clone()));
        tokio::spawn(text::keep_small(quit.clone()));
        if known(synced, &quit).await {
            state_known.set_ready(true);
            // Not before: a pod that is handed over must find its policies.
            agent.run(quit.clone()).await;
        }
        tracing::info!(deadline = ?shared.config.drain_deadline, "draining");
        let recorder = shared.metrics.recorder();
        let name = observed::title(recorder);
        recorder.event("stopped", "info", name, "the node proxy stops, and drains".to_owned());
        served.pods.drain(shared.config.drain_deadline).await;
        // The last step is kept too.
        drained.cancel();
        let _ = collected.await;
        Ok(())
    }

    /// Follows the control plane, or reads the file that stands in for it.
    fn follow_state(&mut self) -> anyhow::Result<Option<Synced>> {
        let state = &self.shared.state;
        if let Some(path) = &self.shared.config.local_xds_path {
            state.add_static(&StaticState::read(path)?)?;
            state.complete();
            return Ok(None);
        }
        let client = {
            let recorder = self.shared.metrics.recorder();
            upstream::discovery(&self.shared.config, state, &mut self.registry, recorder)?
        };
        let synced = client.synced();
        tokio::spawn(client.run(self.quit.clone()));
        Ok(Some(synced))
    }
}

/// Keeps what happens, and answers control's questions about it.
fn remember(
    served: &Served,
    readiness: Readiness,
    quit: &CancellationToken,
    drained: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let recorder = served.shared.metrics.recorder();
    let told = served.clone();
    recorder.tell_state(move || observed::state(&told, readiness.is_ready()));
    let name = observed::title(recorder);
    recorder.event("started", "info", name, "the node proxy started".to_owned());
    if served.shared.config.local_xds_path.is_none() {
        let control = upstream::control(&served.shared.config)?;
        tokio::spawn(home::run(recorder.clone(), control, quit.clone()));
    }
    Ok(tokio::spawn(collector::run(recorder.clone(), drained)))
}

/// Waits for the first state; `false` if we are to quit before.
async fn known(synced: Option<Synced>, quit: &CancellationToken) -> bool {
    let Some(mut synced) = synced else { return true };
    tokio::select! {
        known = synced.wait() => known,
        () = quit.cancelled() => false,
    }
}

/// Keeps certificates for the identities of this node, before anybody asks.
async fn prefetch(shared: Arc<Shared>, quit: CancellationToken) {
    let mut changes = shared.state.local_changes();
    loop {
        changes.mark_unchanged();
        let snapshot = shared.state.snapshot();
        let wanted: BTreeSet<_> = snapshot.local_identities().cloned().collect();
        shared.certificates.want(&wanted);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = quit.cancelled() => return,
        }
    }
}

async fn quit_at_signal(quit: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals; use /quitquitquit to drain");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    quit.cancel();
}
