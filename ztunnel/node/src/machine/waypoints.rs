//! The waypoints that `control` wants on this node, each inside its pod's network namespace
//! and with a credential of its own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{Program, SupervisorTiming, supervise};
use crate::pod::{Pod, Uid};
use crate::service::Service;
use crate::source::Backoff;
use crate::source::credential::pod_credential;

/// Between two looks at which waypoints are wanted.
const LOOK: Duration = Duration::from_millis(500);

/// Says how a waypoint is started.
pub trait WaypointLauncher: Send + Sync + 'static {
    /// The program for `pod`, which serves `gateway`; it runs inside `netns` and presents the
    /// credential in `token`, which is renewed in place.
    fn program(&self, pod: &Pod, gateway: &str, netns: Arc<Netns>, token: &Path) -> Program;
}

/// Runs them until `stop`, and then until all have drained. Tokens lie in `directory`.
pub async fn run_waypoints(
    service: Service,
    launcher: Arc<dyn WaypointLauncher>,
    directory: PathBuf,
    stop: CancellationToken,
) {
    let mut running: BTreeMap<Uid, CancellationToken> = BTreeMap::new();
    let tasks = TaskTracker::new();
    loop {
        let wanted = wanted(&service);
        running.retain(|uid, token| {
            let stays = wanted.contains_key(uid);
            if !stays {
                token.cancel();
            }
            stays
        });
        for (uid, (pod, netns)) in wanted {
            if running.contains_key(&uid) {
                continue;
            }
            let token = stop.child_token();
            running.insert(uid, token.clone());
            let (service, launcher) = (service.clone(), launcher.clone());
            tasks.spawn(run(service, launcher, directory.clone(), pod, netns, token));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => break,
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// The waypoint pods whose namespace is there.
fn wanted(service: &Service) -> BTreeMap<Uid, (Arc<Pod>, Arc<Netns>)> {
    let pods = service.agent.pods();
    let waypoints = pods.all().into_iter().filter(|pod| pod.waypoint.is_some() && !pod.terminated);
    let placed = waypoints.filter_map(|pod| {
        let netns = pods.netns(&pod.uid)?;
        Some((pod.uid.clone(), (pod, netns)))
    });
    placed.collect()
}

async fn run(
    service: Service,
    launcher: Arc<dyn WaypointLauncher>,
    directory: PathBuf,
    pod: Arc<Pod>,
    netns: Arc<Netns>,
    stop: CancellationToken,
) {
    let token = directory.join(pod.uid.as_str());
    if let Err(error) = make(&directory) {
        warn!(%error, path = %directory.display(), "cannot make the directory of tokens");
        return;
    }
    let gateway = pod.waypoint.clone().unwrap_or_default();
    let program = launcher.program(&pod, &gateway, netns, &token);
    info!(pod = pod.full_name(), gateway, "waypoint wanted here");
    let mut supervised = None;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
    while !stop.is_cancelled() {
        let wait = match pod_credential(&service.control, &pod, &token).await {
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
