//! The node agent's end of the ZDS socket: hands pods' network namespaces to the proxy
//! (docs/wire.md, "Pods of a node").
//!
//! - [`packet`]: a SEQPACKET socket for tokio
//! - [`session`]: one connected proxy

pub mod packet;
mod session;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hbone::netns::Netns;
use hbone::wire::pb::istio::workload::zds as pb;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::pod::{Pod, Uid};
use packet::PacketListener;

/// Least time between two accepted connections: five a second.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(200);

/// Most proxies connected at once: one, and its successor during an upgrade, with room for
/// some that linger. The oldest gives way.
pub const MAX_SESSIONS: usize = 8;

/// Requests that wait for one proxy; who asks for more waits.
const QUEUE: usize = 64;

/// What the proxy answered last about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    None,
    /// It serves the pod.
    Acked,
    /// It refused, with its reason.
    Refused(String),
}

/// Why the proxy does not serve a pod.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// No proxy has connected.
    #[error("no ztunnel is connected")]
    NoProxy,
    /// It went, or broke the protocol, before it answered.
    #[error("ztunnel disconnected before it answered")]
    Disconnected,
    /// It answered with an error.
    #[error("ztunnel refused the pod: {0}")]
    Refused(String),
}

/// The pods that the proxy should serve, and the proxies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Zds {
    state: Arc<Mutex<State>>,
    connected: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<Uid, Entry>,
    /// By order of connection: the last is the newest.
    sessions: Vec<Session>,
    next_session: u64,
}

#[derive(Debug)]
struct Entry {
    info: pb::WorkloadInfo,
    /// None: the proxy keeps what it has.
    netns: Option<Arc<Netns>>,
    answer: Answer,
}

#[derive(Debug)]
struct Session {
    id: u64,
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
}

/// One message to a proxy, and who waits for its answer.
struct Request {
    message: pb::WorkloadRequest,
    netns: Option<Arc<Netns>>,
    /// The pod whose answer is remembered.
    about: Option<Uid>,
    done: Option<oneshot::Sender<Result<(), String>>>,
}

impl Default for Zds {
    fn default() -> Self {
        Self { state: Arc::default(), connected: Arc::new(watch::Sender::new(0)) }
    }
}

impl Zds {
    /// How many proxies are connected, now and later.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.subscribe()
    }

    /// Listens at `path`, replacing what a former agent left there. Call [`Zds::serve`] only
    /// when every pod that an earlier agent enrolled is announced again: the proxy stops the
    /// pods that its first snapshot does not mention.
    pub fn listen(path: &Path) -> io::Result<PacketListener> {
        PacketListener::bind(path)
    }

    /// Serves proxies until `stop`.
    pub async fn serve(self, listener: PacketListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok(socket) => {
                    tokio::spawn(session::run(self.clone(), socket, stop.child_token()));
                }
                Err(error) => warn!(%error, "cannot accept a proxy"),
            }
            tokio::time::sleep(ACCEPT_INTERVAL).await;
        }
    }

    /// Puts a pod into the snapshots of proxies to come, without telling those that are
    /// connected; `netns` none makes them keep what they have.
    pub fn announce(&self, pod: &Pod, netns: Option<Arc<Netns>>) {
        let info = info(pod);
        let mut state = self.lock();
        state.pods.insert(pod.uid.clone(), Entry { info, netns, answer: Answer::None });
    }

    /// Hands a pod to the newest proxy, and to those that connect later. Ready when the proxy
    /// answered; each answer takes at most 5 s, and pods ahead in the queue come first.
    pub async fn add(&self, pod: &Pod, netns: Arc<Netns>) -> Result<(), AddError> {
        self.announce(pod, Some(netns.clone()));
        let newest = self.lock().sessions.last().map(|session| session.requests.clone());
        let newest = newest.ok_or(AddError::NoProxy)?;
        let (done, answer) = oneshot::channel();
        let request = Request::add(&pod.uid, info(pod), Some(netns), Some(done));
        newest.send(request).await.map_err(|_| AddError::Disconnected)?;
        let answer = answer.await.map_err(|_| AddError::Disconnected)?;
        answer.map_err(AddError::Refused)
    }

    /// Takes a pod from every proxy and from later snapshots. Ready when all answered or went.
    pub async fn del(&self, uid: &Uid) {
        let sessions: Vec<_> = {
            let mut state = self.lock();
            state.pods.remove(uid);
            state.sessions.iter().map(|session| session.requests.clone()).collect()
        };
        let mut answers = Vec::with_capacity(sessions.len());
        for session in sessions {
            let (done, answer) = oneshot::channel();
            if session.send(Request::del(uid, done)).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            if let Ok(Err(reason)) = answer.await {
                warn!(pod.uid = %uid, reason, "proxy refused to drop a pod");
            }
        }
    }

    /// What the proxy answered last about a pod; `None` if it is not announced.
    pub fn answer(&self, uid: &Uid) -> Option<Answer> {
        self.lock().pods.get(uid).map(|entry| entry.answer.clone())
    }

    /// Makes a proxy the newest, and gives it the snapshot to begin with.
    fn join(&self, stop: CancellationToken) -> (u64, Vec<Request>, mpsc::Receiver<Request>) {
        let (requests, queue) = mpsc::channel(QUEUE);
        let mut state = self.lock();
        let snapshot = state.pods.iter().map(|(uid, entry)| match &entry.netns {
            Some(netns) => Request::add(uid, entry.info.clone(), Some(netns.clone()), None),
            None => Request::keep(uid),
        });
        let snapshot: Vec<_> = snapshot.chain([Request::snapshot_sent()]).collect();
        let id = state.next_session;
        state.next_session += 1;
        if state.sessions.len() >= MAX_SESSIONS {
            state.sessions.remove(0).stop.cancel();
        }
        state.sessions.push(Session { id, requests, stop });
        self.connected.send_replace(state.sessions.len());
        (id, snapshot, queue)
    }

    fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.sessions.retain(|session| session.id != id);
        self.connected.send_replace(state.sessions.len());
        info!(proxies = state.sessions.len(), "proxy disconnected");
    }

    fn remember(&self, uid: &Uid, answer: Answer) {
        if let Some(entry) = self.lock().pods.get_mut(uid) {
            entry.answer = answer;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    fn new(payload: pb::workload_request::Payload) -> Self {
        let message = pb::WorkloadRequest { payload: Some(payload) };
        Self { message, netns: None, about: None, done: None }
    }

    fn add(
        uid: &Uid,
        info: pb::WorkloadInfo,
        netns: Option<Arc<Netns>>,
        done: Option<oneshot::Sender<Result<(), String>>>,
    ) -> Self {
        let add = pb::AddWorkload { uid: uid.to_string(), workload_info: Some(info) };
        let request = Self::new(pb::workload_request::Payload::Add(add));
        Self { netns, about: Some(uid.clone()), done, ..request }
    }

    fn keep(uid: &Uid) -> Self {
        let keep = pb::KeepWorkload { uid: uid.to_string() };
        Self::new(pb::workload_request::Payload::Keep(keep))
    }

    fn del(uid: &Uid, done: oneshot::Sender<Result<(), String>>) -> Self {
        let del = pb::DelWorkload { uid: uid.to_string() };
        let request = Self::new(pb::workload_request::Payload::Del(del));
        Self { done: Some(done), ..request }
    }

    fn snapshot_sent() -> Self {
        Self::new(pb::workload_request::Payload::SnapshotSent(pb::SnapshotSent {}))
    }
}

fn info(pod: &Pod) -> pb::WorkloadInfo {
    pb::WorkloadInfo {
        name: pod.name.clone(),
        namespace: pod.namespace.clone(),
        service_account: pod.service_account.clone(),
    }
}
