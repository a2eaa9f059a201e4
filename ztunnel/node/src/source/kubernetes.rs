//! Pods from the API server, and reports back to it as an annotation and a condition of the pod
//! (docs/wire.md, "Enrolment").
//!
//! - [`known`]: what was heard of pods and namespaces, pure
//! - [`patch`]: what has to be written about a pod, pure

mod known;
mod patch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod as ApiPod};
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::known::Known;
use super::{PodEvent, PodSource, Reports};
use crate::pod::Uid;

/// Pause before the API server is told again what it did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// The API server as the agent's source.
pub struct KubernetesSource {
    client: kube::Client,
    node: String,
}

impl KubernetesSource {
    /// The pods of `node`, through `client`.
    pub fn new(client: kube::Client, node: String) -> Self {
        Self { client, node }
    }

    /// Hears of pods and namespaces until nobody wants to know.
    async fn watch(&self, known: &Mutex<Known>, events: mpsc::Sender<PodEvent>, reports: &Reports) {
        let here = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let pods: Api<ApiPod> = Api::all(self.client.clone());
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let everywhere = watcher::Config::default();
        let mut pods = watcher(pods, here).default_backoff().boxed();
        let mut namespaces = watcher(namespaces, everywhere).default_backoff().boxed();
        loop {
            let news = tokio::select! {
                Some(event) = pods.next() => match event {
                    Ok(event) => lock(known).pod(event),
                    Err(error) => {
                        warn!(%error, "pods cannot be watched; grant get, list and watch on them");
                        continue;
                    }
                },
                Some(event) = namespaces.next() => match event {
                    Ok(event) => lock(known).namespace(event),
                    Err(error) => {
                        warn!(%error,
                            "namespaces cannot be watched; grant get, list and watch on them");
                        continue;
                    }
                },
                else => return,
            };
            for event in news {
                // What somebody else wrote over our word is written again.
                match &event {
                    PodEvent::Snapshot(_) => reports.tell_all(),
                    PodEvent::Changed(pod) => reports.tell_again(&pod.uid),
                    PodEvent::Removed(_) => {}
                }
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Writes reports as they come.
    async fn write(&self, known: &Mutex<Known>, reports: &Reports) {
        loop {
            let (uid, report) = reports.next().await;
            let found = lock(known).written(&uid).cloned();
            let Some((namespace, name, written)) = found else { continue };
            let Some(wanted) = patch::of(&uid, &written, &report, SystemTime::now()) else {
                continue;
            };
            let api: Api<ApiPod> = Api::namespaced(self.client.clone(), &namespace);
            let patch = Patch::Strategic(&wanted);
            match api.patch_status(&name, &PatchParams::default(), &patch).await {
                Ok(pod) => lock(known).wrote(&uid, &pod),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    debug!(pod = format!("{namespace}/{name}"), "pod went before it was told");
                }
                Err(error) => {
                    warn!(pod = format!("{namespace}/{name}"), %error,
                        "cannot write a pod's status; grant patch on pods/status");
                    again(uid, reports.clone());
                }
            }
        }
    }
}

/// Tells a report again after a while. Nobody waits for it: one pod that cannot be written
/// keeps no other from being told.
fn again(uid: Uid, reports: Reports) {
    tokio::spawn(async move {
        tokio::time::sleep(AGAIN).await;
        reports.tell_again(&uid);
    });
}

impl PodSource for KubernetesSource {
    async fn run(self, events: mpsc::Sender<PodEvent>, reports: Reports, stop: CancellationToken) {
        let known = Arc::new(Mutex::new(Known::default()));
        tokio::select! {
            () = self.watch(&known, events, &reports) => {}
            () = self.write(&known, &reports) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    // No code under the lock panics halfway through a change.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
