//! One proxy that called home.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::now_ms;
use crate::pb::{
    Answer, EdgeKey, Incident, Origin, Query, Question, Reply, ToProxy, reply, to_proxy,
};

/// Questions that wait to be sent; a proxy that reads none is not asked further.
const QUEUE: usize = 16;

/// A proxy that can be asked.
#[derive(Debug)]
pub struct Attached {
    origin: Origin,
    since_ms: i64,
    next: AtomicU64,
    questions: mpsc::Sender<ToProxy>,
    to_send: Mutex<Option<mpsc::Receiver<ToProxy>>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Answer, String>>>>,
    follow: watch::Receiver<bool>,
}

impl Attached {
    pub(super) fn new(origin: Origin, follow: watch::Receiver<bool>) -> Self {
        let (questions, to_send) = mpsc::channel(QUEUE);
        Self {
            origin,
            since_ms: now_ms(),
            next: AtomicU64::new(0),
            questions,
            to_send: Mutex::new(Some(to_send)),
            waiting: Mutex::default(),
            follow,
        }
    }

    /// Who it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Since when it is attached.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// What is to be sent to it; once.
    pub fn to_send(&self) -> Option<mpsc::Receiver<ToProxy>> {
        lock(&self.to_send).take()
    }

    /// Whether it is to tell at once what happens.
    pub fn follow(&self) -> watch::Receiver<bool> {
        self.follow.clone()
    }

    /// Its answer.
    ///
    /// # Errors
    /// If there is none in time, or the proxy says what was wrong.
    pub(super) async fn ask(&self, query: Query, patience: Duration) -> Result<Answer, String> {
        let id = self.next.fetch_add(1, Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let forget = Forget { of: self, id };
        let message = to_proxy::Message::Question(Question { id, query: Some(query) });
        let question = ToProxy { message: Some(message) };
        if self.questions.try_send(question).is_err() {
            return Err("it reads no questions".to_owned());
        }
        let heard = timeout(patience, answer).await;
        drop(forget);
        match heard {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("it is gone".to_owned()),
            Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
        }
    }

    /// It answered. What nobody waits for any longer is dropped.
    pub fn replied(&self, reply: Reply) {
        let Some(waiting) = lock(&self.waiting).remove(&reply.id) else { return };
        let result = match reply.result {
            Some(reply::Result::Answer(answer)) => Ok(self.own(answer)),
            Some(reply::Result::Error(error)) => Err(error),
            None => Err("it answered with nothing".to_owned()),
        };
        let _ = waiting.send(result);
    }
}

impl Attached {
    /// What this proxy may say of itself; the rest of an answer is left out. A waypoint is run
    /// by a namespace, and speaks of no other's traffic.
    fn own(&self, mut answer: Answer) -> Answer {
        let origin = &self.origin;
        answer.origin = Some(origin.clone());
        answer.edges.retain_mut(|edge| edge.key.as_mut().is_some_and(|key| self.may_sum(key)));
        answer.edges.iter_mut().for_each(|edge| edge.node.clone_from(&origin.node));
        let incidents = std::mem::take(&mut answer.incidents).into_iter();
        answer.incidents = incidents.filter_map(|incident| self.checked(incident)).collect();
        answer.events.iter_mut().for_each(|event| event.node.clone_from(&origin.node));
        answer.connections.retain(|c| c.key.as_ref().is_some_and(|key| self.may_report(key)));
        answer.connections.iter_mut().for_each(|c| c.node.clone_from(&origin.node));
        for cost in &mut answer.costs {
            cost.node.clone_from(&origin.node);
            cost.kind.clone_from(&origin.kind);
            cost.name.clone_from(&origin.name);
        }
        if let Some(state) = &mut answer.state {
            let waypoint = self.waypoint();
            state.routes.iter_mut().for_each(|route| route.waypoint.clone_from(&waypoint));
        }
        answer
    }

    /// An incident that it may tell of.
    pub fn checked(&self, mut incident: Incident) -> Option<Incident> {
        let may = incident.key.as_ref().is_some_and(|key| self.may_report(key));
        incident.node.clone_from(&self.origin.node);
        may.then_some(incident)
    }

    fn waypoint(&self) -> String {
        format!("{}/{}", self.origin.namespace, self.origin.gateway)
    }

    /// Whether it may report the edge, of which the fields are missing that it was not asked for.
    fn may_sum(&self, key: &mut EdgeKey) -> bool {
        if self.origin.kind == "waypoint" && key.waypoint.is_empty() {
            key.waypoint = self.waypoint();
        }
        if key.reporter.is_empty() {
            return self.origin.kind != "waypoint" || key.waypoint == self.waypoint();
        }
        self.may_report(key)
    }

    fn may_report(&self, key: &EdgeKey) -> bool {
        match self.origin.kind.as_str() {
            "waypoint" => key.reporter == "waypoint" && key.waypoint == self.waypoint(),
            _ => matches!(key.reporter.as_str(), "source" | "destination"),
        }
    }
}

/// Forgets a question when it is answered, late or cancelled.
struct Forget<'a> {
    of: &'a Attached,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.of.waiting).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is whole between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
