//! The waypoints that `control` wants on this node, each inside its pod's network namespace
//! and with a credential of its own.
//!
//! A container runtime announces the namespace of a pod that the user wrote; that of a pod
//! that `control` deployed is made here.

mod left;
mod readiness;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::process::Left;
use super::sandbox::Sandbox;
use super::{Program, SupervisorTiming, supervise};
use crate::pod::{Pod, Uid};
use crate::service::Service;
use crate::source::Backoff;
use crate::source::credential::pod_credential;

/// Between two looks at which waypoints are wanted.
const LOOK: Duration = Duration::from_millis(250);

/// Longest wait between two attempts to make a namespace or to get a credential.
const RETRY: Duration = Duration::from_secs(15);

/// Says how a waypoint is started.
pub trait WaypointLauncher: Send + Sync + 'static {
    /// The program for `pod`, which serves `gateway`; it runs inside `netns` and presents the
    /// credential in `token`, which is renewed in place. Its record is set by the caller.
    fn program(&self, pod: &Pod, gateway: &str, netns: Arc<Netns>, token: &Path) -> Program;
}

/// What all waypoints of the node share.
#[derive(Clone)]
struct Shared {
    service: Service,
    launcher: Arc<dyn WaypointLauncher>,
    /// Of tokens and records.
    directory: PathBuf,
}

/// A waypoint that runs or is ending.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Runs them until `stop`, and then until all have drained. Tokens and records lie in
/// `directory`. What a supervisor before us left is taken over, or ended if nobody wants it.
pub async fn run_waypoints(
    service: Service,
    launcher: Arc<dyn WaypointLauncher>,
    directory: PathBuf,
    stop: CancellationToken,
) {
    let shared = Shared { service, launcher, directory };
    let mut running: BTreeMap<Uid, Running> = BTreeMap::new();
    let mut looked_for_left = false;
    loop {
        // What nobody wants is known only once control has said what somebody wants.
        let synced = *shared.service.agent.synced().borrow();
        let wanted = wanted(&shared.service);
        if synced && !looked_for_left {
            looked_for_left = true;
            let wanted: BTreeSet<Uid> = wanted.keys().cloned().collect();
            tokio::spawn(left::end(shared.directory.clone(), wanted));
        }
        for (_, waypoint) in running.iter().filter(|(uid, _)| !wanted.contains_key(uid)) {
            waypoint.stop.cancel();
        }
        // One that comes back while the former drains waits for it: they have one address.
        running.retain(|_, waypoint| !waypoint.task.is_finished());
        for (uid, (pod, netns)) in wanted {
            running.entry(uid).or_insert_with(|| {
                let stop = stop.child_token();
                let task = tokio::spawn(run(shared.clone(), pod, netns, stop.clone()));
                Running { stop, task }
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => break,
        }
    }
    for waypoint in running.into_values() {
        // It ends by itself; a panic was printed.
        let _ = waypoint.task.await;
    }
}

/// The waypoint pods whose namespace is there, or is to be made.
fn wanted(service: &Service) -> BTreeMap<Uid, (Arc<Pod>, Option<Arc<Netns>>)> {
    let pods = service.agent.pods();
    let waypoints = pods.all().into_iter().filter(|pod| pod.waypoint.is_some() && !pod.terminated);
    let placed = waypoints.filter_map(|pod| {
        let netns = pods.netns(&pod.uid);
        (netns.is_some() || pod.sandbox).then(|| (pod.uid.clone(), (pod, netns)))
    });
    placed.collect()
}

async fn run(
    shared: Shared,
    pod: Arc<Pod>,
    announced: Option<Arc<Netns>>,
    stop: CancellationToken,
) {
    let sandbox = match announced {
        Some(_) => None,
        None => match sandbox(&shared, &pod, &stop).await {
            Some(sandbox) => Some(sandbox),
            None => return,
        },
    };
    let netns = announced.or_else(|| sandbox.as_ref().map(Sandbox::netns));
    if let Some(netns) = netns {
        keep(&shared, &pod, netns, &stop).await;
    }
    if let Some(sandbox) = sandbox {
        sandbox.remove().await;
    }
}

/// The namespace of a pod that no runtime makes; none if the pod goes before it is there.
async fn sandbox(shared: &Shared, pod: &Pod, stop: &CancellationToken) -> Option<Sandbox> {
    if let Some(left) = Left::find(&left::record(&shared.directory, &pod.uid)) {
        let node = shared.service.agent.pods().node_namespaces();
        if let Some(sandbox) = Sandbox::of(pod, &left, &node) {
            return Some(sandbox);
        }
        warn!(pod = pod.full_name(), pid = left.pid(), "a process runs where its pod is not");
        if let Err(error) = left.end(SupervisorTiming::default().drain).await {
            warn!(pid = left.pid(), %error, "it cannot be ended");
        }
    }
    let mut backoff = Backoff::new(Duration::from_millis(200), RETRY);
    while !stop.is_cancelled() {
        match Sandbox::create(pod).await {
            Ok(sandbox) => {
                info!(pod = pod.full_name(), ips = ?pod.ips, "namespace of a waypoint made");
                return Some(sandbox);
            }
            Err(error) => {
                let reason = crate::chain(&error);
                warn!(pod = pod.full_name(), reason, "namespace of a waypoint not made");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.delay()) => {}
            () = stop.cancelled() => {}
        }
    }
    None
}

/// Keeps the waypoint running, with a credential that is valid.
async fn keep(shared: &Shared, pod: &Arc<Pod>, netns: Arc<Netns>, stop: &CancellationToken) {
    let token = shared.directory.join(pod.uid.as_str());
    if let Err(error) = make(&shared.directory) {
        warn!(%error, path = %shared.directory.display(), "cannot make the directory of tokens");
        return;
    }
    let gateway = pod.waypoint.clone().unwrap_or_default();
    let record = Some(left::record(&shared.directory, &pod.uid));
    let program = shared.launcher.program(pod, &gateway, netns, &token);
    let program = Program { record, ..program };
    info!(pod = pod.full_name(), gateway, "waypoint wanted here");
    let reports = shared.service.agent.reports();
    let mut supervised = None;
    let mut backoff = Backoff::new(Duration::from_millis(200), RETRY);
    while !stop.is_cancelled() {
        let wait = match pod_credential(&shared.service.control, pod, &token).await {
            Ok(wait) => {
                backoff.reset();
                supervised.get_or_insert_with(|| {
                    let timing = SupervisorTiming::default();
                    tokio::spawn(supervise(program.clone(), timing, stop.clone()))
                });
                wait
            }
            Err(error) => {
                let reason = crate::chain(&error);
                warn!(pod = pod.full_name(), reason, "no credential for a waypoint");
                backoff.delay()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = readiness::watch(&program, &pod.uid, reports) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Some(supervised) = supervised {
        // It ends by itself; a panic was printed.
        let _ = supervised.await;
    }
    let _ = std::fs::remove_file(&token);
}

fn make(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
