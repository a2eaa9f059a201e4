//! All tasks of the agent, wired in one place.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hbone::netns::{Netns, NetnsError, NetnsId};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cni;
use crate::enrol::Exclusions;
use crate::enrolment::{Context, Restored, Settings, Timing};
use crate::handle::{self, Place, search::holds};
use crate::metrics::AgentMetrics;
use crate::pods::Pods;
use crate::redirect::host::HostProbes;
use crate::saved::{Saved, SavedError, SavedPod, Stage};
use crate::source::{PodEvent, PodSource, Reports};
use crate::zds::Zds;

/// Events of the source that wait to be applied.
const EVENTS: usize = 256;

/// What an agent needs to know.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Its sockets and its memory; made if it is absent, mode 0700.
    pub run_dir: PathBuf,
    /// Where proxies connect. `ZTUNNEL_UDS_ADDRESS`.
    pub zds_socket: PathBuf,
    /// Who is never enrolled.
    pub exclusions: Exclusions,
    /// Times.
    pub timing: Timing,
    /// How kubelet's probes reach captured pods; off where there is no kubelet.
    pub probes: HostProbes,
}

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A directory or socket cannot be made.
    #[error("cannot make {path:?}")]
    Path {
        /// The directory or socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a former agent left cannot be read.
    #[error("cannot read what a former agent left")]
    Saved(#[from] SavedError),
    /// The node's own namespace cannot be opened.
    #[error("cannot open the node's network namespace")]
    Node(#[from] NetnsError),
}

/// A started agent. Its tasks end with the token that it was given; rules stay.
#[derive(Clone)]
pub struct Agent {
    pods: Pods,
    zds: Zds,
    reports: Reports,
    metrics: AgentMetrics,
    synced: watch::Receiver<bool>,
}

impl Agent {
    /// Starts everything: first the pods of a former agent, because the proxy stops what its
    /// first snapshot does not mention, then the sockets, then the source.
    pub fn start(
        config: AgentConfig,
        source: impl PodSource,
        registry: &mut Registry,
        stop: CancellationToken,
    ) -> Result<Self, AgentError> {
        make_directory(&config.run_dir)?;
        if let Some(directory) = config.zds_socket.parent() {
            make_directory(directory)?;
        }
        let saved = Saved::load(&config.run_dir)?;
        let (zds, reports) = (Zds::default(), Reports::default());
        let metrics = AgentMetrics::register(registry);
        let AgentConfig { run_dir, zds_socket, exclusions, timing, probes } = config;
        tokio::spawn(probes.clone().keep(stop.clone()));
        let context = Context::new(
            zds.clone(),
            reports.clone(),
            saved,
            metrics.clone(),
            Settings { exclusions, timing, probes },
            node_namespaces()?,
        );
        let pods = Pods::new(context.clone(), stop.clone());
        resume_probes(&context);
        restore(&context, &pods);

        let failed = |path: PathBuf| |source| AgentError::Path { path, source };
        let proxies = Zds::listen(&zds_socket).map_err(failed(zds_socket))?;
        tokio::spawn(zds.clone().serve(proxies, stop.clone()));
        let calls = cni::listen(&run_dir).map_err(failed(run_dir.join(cni::SOCKET)))?;
        tokio::spawn(cni::serve(calls, pods.clone(), stop.clone()));
        let (events, queue) = mpsc::channel(EVENTS);
        let (told, synced) = watch::channel(false);
        tokio::spawn(apply(queue, pods.clone(), told));
        tokio::spawn(source.run(events, reports.clone(), stop));
        Ok(Self { pods, zds, reports, metrics, synced })
    }

    /// Whether the pods of this node were received, now and later. It stays so: with the
    /// source away the agent goes on with what it knows.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.clone()
    }

    /// The pods of this node.
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// How many proxies are connected, now and later.
    pub fn proxies(&self) -> watch::Receiver<usize> {
        self.zds.connected()
    }

    /// The latest word on every pod.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// What it counts.
    pub fn metrics(&self) -> &AgentMetrics {
        &self.metrics
    }

    /// Brings the gauges up to date, before the metrics are read.
    pub fn refresh_metrics(&self) {
        let reports = self.reports.all();
        let proxies = *self.zds.connected().borrow();
        self.metrics.refresh(proxies, reports.iter().map(|(_, report)| report));
    }
}

async fn apply(mut events: mpsc::Receiver<PodEvent>, pods: Pods, synced: watch::Sender<bool>) {
    while let Some(event) = events.recv().await {
        let snapshot = matches!(event, PodEvent::Snapshot(_));
        pods.apply(event);
        if snapshot {
            synced.send_replace(true);
        }
    }
}

/// The pods of a former agent come back one by one; none of their probes must wait for its turn.
fn resume_probes(context: &Context) {
    let captured = |saved: &SavedPod| matches!(saved.stage, Stage::Entering | Stage::Enrolled);
    let saved = context.saved.all().into_iter().filter(captured);
    context.probes.resume(saved.map(|saved| (saved.pod.uid.clone(), saved.pod.ips.clone())));
}

/// Goes on with the pods of a former agent, before a proxy can ask for them.
fn restore(context: &Arc<Context>, pods: &Pods) {
    for saved in context.saved.all() {
        let place = find_again(&saved, &context.node);
        if place.is_none() {
            warn!(pod = saved.pod.full_name(), path = %saved.path.display(), "namespace not found");
        }
        if let Some(place) = &place {
            context.claim(&saved.pod.uid, &place.netns);
        }
        if saved.stage != Stage::Known {
            let netns = place.as_ref().map(|place| place.netns.clone());
            context.zds.announce(&saved.pod, netns);
        }
        info!(pod = saved.pod.full_name(), stage = ?saved.stage, "pod of a former agent");
        let restored = Restored { stage: saved.stage, place, older: saved.older };
        pods.restore(saved.pod, restored);
    }
}

/// The namespace that was saved, if its path still leads to it. The same device and inode may
/// mean a new namespace once the old one is gone, so the pod's address must be there too.
fn find_again(saved: &SavedPod, node: &[NetnsId]) -> Option<Place> {
    let place = handle::open(&saved.path, node).ok()?;
    let same = place.netns.id() == saved.id();
    let its_own = saved.pod.ips.is_empty() || holds(&place.netns, &saved.pod.ips);
    (same && its_own).then_some(place)
}

/// The agent's namespace and that of the first process, which differ only if the agent was
/// put into one of its own.
fn node_namespaces() -> Result<Vec<NetnsId>, NetnsError> {
    let mut node: BTreeSet<NetnsId> = BTreeSet::from([Netns::current()?.id()]);
    // Not readable without privileges over the first process, as in a user namespace; then
    // its namespace could not be entered either.
    if let Ok(first) = std::fs::metadata("/proc/1/ns/net") {
        use std::os::unix::fs::MetadataExt;
        node.insert(NetnsId { dev: first.dev(), inode: first.ino() });
    }
    Ok(node.into_iter().collect())
}

fn make_directory(path: &Path) -> Result<(), AgentError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| AgentError::Path { path: path.into(), source })
}
