//! The pods of this node, each with a task of its own, so that one that fails or hangs stops
//! no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hbone::netns::{Netns, NetnsId};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::enrolment::{Capture, Context, EnrolError, Restored, Worker};
use crate::handle::Place;
use crate::metrics::AgentMetrics;
use crate::pod::{Pod, Uid};
use crate::source::PodEvent;
use crate::source::control::MAX_PODS;

/// How long a CNI call waits for its pod to become known.
const WAIT_FOR_POD: Duration = Duration::from_secs(2);

/// How long a CNI call waits for the pod to be captured; its client waits 5 s for all.
const WAIT_FOR_CAPTURE: Duration = Duration::from_millis(4500);

/// What should be of one pod.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// It exists, with these facts.
    Pod(Arc<Pod>),
    /// It is gone.
    Gone,
}

/// Why an announced pod may not start.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The source has not named it.
    #[error("no pod {0} is known on this node")]
    UnknownPod(String),
    /// It should be enrolled and could not be.
    #[error("the pod cannot be enrolled")]
    Enrol(#[from] EnrolError),
    /// It took too long.
    #[error("the pod was not enrolled within 4.5 s")]
    Deadline,
    /// The pod went, or the agent stops.
    #[error("the pod is gone")]
    Gone,
}

/// All of them. Cheap to clone.
#[derive(Clone)]
pub struct Pods(Arc<Shared>);

struct Shared {
    context: Arc<Context>,
    slots: Mutex<BTreeMap<Uid, Slot>>,
    changed: Notify,
    stop: CancellationToken,
}

struct Slot {
    wish: watch::Sender<Wish>,
    captures: mpsc::Sender<Capture>,
}

impl Pods {
    pub(crate) fn new(context: Arc<Context>, stop: CancellationToken) -> Self {
        let slots = Mutex::default();
        Self(Arc::new(Shared { context, slots, changed: Notify::new(), stop }))
    }

    /// Goes on with a pod of a former agent.
    pub(crate) fn restore(&self, pod: Pod, restored: Restored) {
        self.spawn(&mut self.lock(), &Arc::new(pod), Some(restored));
    }

    /// Applies what the source says.
    pub fn apply(&self, event: PodEvent) {
        let mut slots = self.lock();
        match event {
            PodEvent::Snapshot(pods) => {
                let named = |uid: &Uid| pods.iter().any(|pod| pod.uid == *uid);
                for (_, slot) in slots.iter().filter(|(uid, _)| !named(uid)) {
                    slot.wish.send_replace(Wish::Gone);
                }
                for pod in pods {
                    self.upsert(&mut slots, pod);
                }
            }
            PodEvent::Changed(pod) => self.upsert(&mut slots, *pod),
            PodEvent::Removed(uid) => {
                if let Some(slot) = slots.get(&uid) {
                    slot.wish.send_replace(Wish::Gone);
                }
            }
        }
        drop(slots);
        self.0.changed.notify_waiters();
    }

    /// A pod of that name that exists; with the facts as they are now.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let slots = self.lock();
        slots.values().find_map(|slot| match &*slot.wish.borrow() {
            Wish::Pod(pod) if pod.namespace == namespace && pod.name == name => Some(pod.clone()),
            Wish::Pod(_) | Wish::Gone => None,
        })
    }

    /// Every pod that exists.
    pub fn all(&self) -> Vec<Arc<Pod>> {
        let slots = self.lock();
        let existing = slots.values().filter_map(|slot| match &*slot.wish.borrow() {
            Wish::Pod(pod) => Some(pod.clone()),
            Wish::Gone => None,
        });
        existing.collect()
    }

    /// Takes the namespace of a pod that is about to start, and captures it first if it takes
    /// part. Waits a little for a pod that the source has not named yet.
    pub async fn capture(
        &self,
        namespace: &str,
        name: &str,
        place: Place,
    ) -> Result<(), CaptureError> {
        let unknown = || CaptureError::UnknownPod(format!("{namespace}/{name}"));
        let found = timeout(WAIT_FOR_POD, self.wait_for(namespace, name)).await;
        let pod = found.map_err(|_| unknown())?;
        let captures = self.lock().get(&pod.uid).map(|slot| slot.captures.clone());
        let (done, answer) = oneshot::channel();
        let work = async {
            let capture = Capture { place, done };
            captures.ok_or_else(unknown)?.send(capture).await.map_err(|_| CaptureError::Gone)?;
            Ok::<_, CaptureError>(answer.await.map_err(|_| CaptureError::Gone)??)
        };
        timeout(WAIT_FOR_CAPTURE, work).await.map_err(|_| CaptureError::Deadline)?
    }

    /// The network namespace of a pod, once it is announced or found.
    pub fn netns(&self, uid: &Uid) -> Option<Arc<Netns>> {
        self.0.context.netns(uid)
    }

    pub(crate) fn metrics(&self) -> &AgentMetrics {
        &self.0.context.metrics
    }

    /// Namespaces that no pod may name.
    pub(crate) fn node_namespaces(&self) -> Vec<NetnsId> {
        self.0.context.node.clone()
    }

    async fn wait_for(&self, namespace: &str, name: &str) -> Arc<Pod> {
        loop {
            let changed = self.0.changed.notified();
            if let Some(pod) = self.find(namespace, name) {
                return pod;
            }
            changed.await;
        }
    }

    /// Ends the slot of a pod that is gone; false if it came back meanwhile.
    pub(crate) fn retire(&self, uid: &Uid) -> bool {
        let mut slots = self.lock();
        let gone = slots.get(uid).is_none_or(|slot| matches!(*slot.wish.borrow(), Wish::Gone));
        if gone {
            slots.remove(uid);
        }
        gone
    }

    fn upsert(&self, slots: &mut BTreeMap<Uid, Slot>, pod: Pod) {
        if let Some(slot) = slots.get(&pod.uid) {
            slot.wish.send_replace(Wish::Pod(Arc::new(pod)));
        } else if slots.len() >= MAX_PODS {
            warn!(pod.uid = %pod.uid, limit = MAX_PODS, "pod not taken: too many on this node");
        } else {
            self.spawn(slots, &Arc::new(pod), None);
        }
    }

    fn spawn(&self, slots: &mut BTreeMap<Uid, Slot>, pod: &Arc<Pod>, restored: Option<Restored>) {
        let (captures, announced) = mpsc::channel(4);
        let (wish, wishes) = watch::channel(Wish::Pod(pod.clone()));
        slots.insert(pod.uid.clone(), Slot { wish, captures });
        let worker = Worker::new(self.0.context.clone(), pod, wishes, announced, restored);
        tokio::spawn(worker.run(self.clone(), self.0.stop.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uid, Slot>> {
        // No code under the lock panics halfway through a change.
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
