use std::collections::HashSet;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hbone::serve::Readiness;
use hbone::wire::pb::istio::workload::zds as pb;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    listen, recv, sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use pb::workload_request::Payload;
use prost::Message;
use tokio::task::{JoinHandle, block_in_place};

use super::*;

mod faults;
mod rules;

const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until `holds`, looking often.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What happened to pods, in order.
#[derive(Default)]
struct Proxies {
    events: Arc<Mutex<Vec<String>>>,
    /// Pods that cannot be started now.
    failing: Mutex<HashSet<String>>,
}

struct FakePod {
    uid: String,
    events: Arc<Mutex<Vec<String>>>,
    finished: AtomicBool,
}

impl PodProxies for Proxies {
    type Running = FakePod;

    async fn start(&self, pod: &PodInfo, netns: Arc<Netns>) -> Result<FakePod, StartError> {
        // The namespace is a real one and can be entered.
        netns.run(|| ())?;
        if self.failing.lock().expect("lock").contains(&pod.uid) {
            return Err("port 15001 is taken".into());
        }
        self.events.lock().expect("lock").push(format!("start {}", pod.uid));
        let events = Arc::clone(&self.events);
        Ok(FakePod { uid: pod.uid.clone(), events, finished: AtomicBool::new(false) })
    }
}

impl RunningPod for FakePod {
    fn stop(&self, how: Stop) {
        self.events.lock().expect("lock").push(format!("{how:?} {}", self.uid));
        self.finished.store(how == Stop::Now, Ordering::Release);
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

/// The node agent of a test, with the proxy's side running.
struct Node {
    listener: OwnedFd,
    proxies: Arc<Proxies>,
    readiness: Readiness,
    view: WorkloadView,
    metrics: WorkloadMetrics,
    shutdown: CancellationToken,
    manager: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("ztunnel.sock");
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None);
        let listener = listener.expect("socket");
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).expect("address")).expect("bound");
        listen(&listener, Backlog::new(4).expect("backlog")).expect("listening");
        limit(&listener);
        let (proxies, readiness) = (Arc::new(Proxies::default()), Readiness::new());
        let metrics = WorkloadMetrics::default();
        let ready = readiness.task(WorkloadManager::<Proxies>::TASK);
        let manager = WorkloadManager::new(path, Arc::clone(&proxies), metrics.clone(), ready);
        let (view, shutdown) = (manager.view(), CancellationToken::new());
        let manager = tokio::spawn(manager.run(shutdown.clone()));
        Self {
            listener,
            proxies,
            readiness,
            view,
            metrics,
            shutdown,
            manager,
            _directory: directory,
        }
    }

    /// Accepts the proxy and reads its hello.
    fn accept(&self) -> Agent {
        let accepted = block_in_place(|| accept4(&self.listener, SockFlag::SOCK_CLOEXEC));
        let agent = Agent(accepted.expect("the proxy connects in time"));
        limit(&agent.0);
        let hello = pb::ZdsHello::decode(agent.read().as_slice()).expect("a hello");
        assert_eq!(hello.version(), pb::Version::V1);
        agent
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.proxies.events.lock().expect("lock"))
    }

    fn set_failing(&self, uids: &[&str]) {
        *self.proxies.failing.lock().expect("lock") =
            uids.iter().map(ToString::to_string).collect();
    }

    fn counts(&self) -> (i64, i64, u64, u64) {
        let m = &self.metrics;
        (m.active.get(), m.pending.get(), m.started.get(), m.stopped.get())
    }
}

fn limit(socket: &OwnedFd) {
    let patience = TimeVal::seconds(i64::try_from(PATIENCE.as_secs()).expect("small"));
    setsockopt(socket, ReceiveTimeout, &patience).expect("timeout");
}

/// The agent's end of one connection.
struct Agent(OwnedFd);

impl Agent {
    /// One packet; empty at the end.
    fn read(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let read = block_in_place(|| recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()));
        buffer[..read.expect("the proxy answers in time")].to_vec()
    }

    fn send_raw(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[] } else { &rights[..] };
        let data = [IoSlice::new(packet)];
        sendmsg::<()>(self.0.as_raw_fd(), &data, control, MsgFlags::empty(), None).expect("sent");
    }

    /// The error of the next answer; empty is success.
    fn answer(&self) -> String {
        let response = pb::WorkloadResponse::decode(self.read().as_slice()).expect("a response");
        let pb::workload_response::Payload::Ack(ack) = response.payload.expect("an ack");
        ack.error
    }

    fn request(&self, payload: Payload, descriptors: &[BorrowedFd<'_>]) -> String {
        let request = pb::WorkloadRequest { payload: Some(payload) };
        self.send_raw(&request.encode_to_vec(), descriptors);
        self.answer()
    }

    fn add(&self, uid: &str, netns: &Netns) -> String {
        self.request(add(uid), &[netns.as_fd()])
    }

    fn keep(&self, uid: &str) -> String {
        self.request(Payload::Keep(pb::KeepWorkload { uid: uid.into() }), &[])
    }

    fn del(&self, uid: &str) -> String {
        self.request(Payload::Del(pb::DelWorkload { uid: uid.into() }), &[])
    }

    fn snapshot_sent(&self) -> String {
        self.request(Payload::SnapshotSent(pb::SnapshotSent {}), &[])
    }

    fn is_closed(&self) -> bool {
        self.read().is_empty()
    }
}

fn add(uid: &str) -> Payload {
    let info = pb::WorkloadInfo {
        name: format!("pod-{uid}"),
        namespace: "shop".into(),
        service_account: "web".into(),
    };
    Payload::Add(pb::AddWorkload { uid: uid.into(), workload_info: Some(info) })
}

fn netns() -> Netns {
    Netns::create().expect("root makes namespaces")
}
