//! A pod's task: what it waits for, and which step comes next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Context, EnrolError};
use crate::enrol::{Verdict, judge};
use crate::flows::Flow;
use crate::handle::Place;
use crate::pod::Pod;
use crate::pods::{Pods, Wish};
use crate::redirect::{Listing, Options};
use crate::saved::Stage;
use crate::source::Backoff;

/// A pod that is about to start: its namespace, and who waits for its capture.
pub(crate) struct Capture {
    pub(crate) place: Place,
    pub(crate) done: oneshot::Sender<Result<(), EnrolError>>,
}

/// What a former agent knew of a pod.
pub(crate) struct Restored {
    pub(crate) stage: Stage,
    /// None if its namespace was not found again.
    pub(crate) place: Option<Place>,
    pub(crate) older: BTreeSet<Flow>,
}

/// Whether the pod's programs run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    RulesFirst,
    ListenersFirst,
}

/// Where a pod is on its way.
#[derive(Debug)]
pub(super) enum Phase {
    Out,
    /// Steps were begun and not finished.
    Entering,
    /// A former agent had enrolled it: rules are there, and the proxy's snapshot has it.
    Resuming,
    Enrolled {
        options: Options,
        rules: Listing,
    },
    Draining {
        /// When peers have heard of it.
        settled: Instant,
        /// The proxy was told.
        withdrawn: bool,
    },
}

pub(crate) struct Worker {
    pub(super) context: Arc<Context>,
    pub(super) pod: Arc<Pod>,
    pub(super) place: Option<Place>,
    pub(super) phase: Phase,
    pub(super) older: BTreeSet<Flow>,
    pub(super) retries: Backoff,
    pub(super) rechecks: Backoff,
    wishes: watch::Receiver<Wish>,
    captures: mpsc::Receiver<Capture>,
}

impl Worker {
    pub(crate) fn new(
        context: Arc<Context>,
        pod: &Arc<Pod>,
        wishes: watch::Receiver<Wish>,
        captures: mpsc::Receiver<Capture>,
        restored: Option<Restored>,
    ) -> Self {
        let timing = context.timing;
        let mut worker = Self {
            context,
            pod: pod.clone(),
            place: None,
            phase: Phase::Out,
            older: BTreeSet::new(),
            retries: Backoff::new(Duration::from_millis(200), timing.retry),
            rechecks: Backoff::new(Duration::from_millis(200), timing.recheck),
            wishes,
            captures,
        };
        if let Some(restored) = restored {
            worker.phase = match restored.stage {
                Stage::Known => Phase::Out,
                Stage::Entering => Phase::Entering,
                Stage::Enrolled => Phase::Resuming,
                Stage::Draining => Phase::Draining { settled: Instant::now(), withdrawn: false },
            };
            worker.place = restored.place;
            worker.older = restored.older;
        }
        worker
    }

    /// Works until the pod is gone or the agent stops; then its rules stay as they are.
    pub(crate) async fn run(mut self, pods: Pods, stop: CancellationToken) {
        loop {
            let wish = self.wishes.borrow_and_update().clone();
            let wake = match wish {
                Wish::Pod(pod) => {
                    self.pod = pod;
                    self.step().await
                }
                Wish::Gone => {
                    self.leave().await;
                    if pods.retire(&self.pod.uid) {
                        return;
                    }
                    continue;
                }
            };
            let wake = wake.map_or_else(far, |delay| Instant::now() + delay);
            tokio::select! {
                changed = self.wishes.changed() => if changed.is_err() { return },
                Some(capture) = self.captures.recv() => self.capture(capture).await,
                () = tokio::time::sleep_until(wake) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Does what comes next, and says when to look again without being asked.
    async fn step(&mut self) -> Option<Duration> {
        let verdict = judge(&self.pod, &self.context.exclusions);
        let result = match (verdict, &self.phase) {
            (Verdict::Enrol, Phase::Enrolled { .. }) => self.verify().await,
            (Verdict::Enrol, Phase::Resuming) => self.resume().await,
            (Verdict::Enrol, Phase::Out | Phase::Entering | Phase::Draining { .. }) => {
                self.enrol(Order::ListenersFirst).await
            }
            (_, Phase::Out) => {
                self.report_outside();
                return None;
            }
            (_, Phase::Entering | Phase::Resuming | Phase::Enrolled { .. }) => {
                self.withdraw().await
            }
            (_, Phase::Draining { .. }) => self.drain().await,
        };
        match result {
            Ok(delay) => {
                self.retries.reset();
                delay
            }
            Err(error) => {
                self.report_failure(&error);
                Some(self.retries.delay())
            }
        }
    }

    /// Takes the namespace that a CNI call names, and captures the pod before it starts.
    async fn capture(&mut self, Capture { place, done }: Capture) {
        // Facts may have come since the last step.
        if let Wish::Pod(pod) = &*self.wishes.borrow() {
            self.pod = pod.clone();
        }
        let known = self.place.as_ref().is_some_and(|known| known.netns.id() == place.netns.id());
        if !known {
            self.context.claim(&self.pod.uid, &place.netns);
            self.place = Some(place);
            if !matches!(self.phase, Phase::Out) {
                // What was done was done to a namespace that is not the pod's any more.
                self.phase = Phase::Entering;
            }
        }
        let enrol = judge(&self.pod, &self.context.exclusions) == Verdict::Enrol;
        let result = if enrol && !(known && matches!(self.phase, Phase::Enrolled { .. })) {
            self.enrol(Order::RulesFirst).await.map(drop)
        } else {
            self.save(self.stage()).await;
            Ok(())
        };
        if let Err(error) = &result {
            warn!(pod = self.pod.full_name(), %error, "pod not captured before its start");
        }
        // A caller that gave up has failed the pod's start already.
        let _ = done.send(result);
    }
}

/// Later than any test or node runs.
fn far() -> Instant {
    Instant::now() + Duration::from_hours(365 * 24)
}
