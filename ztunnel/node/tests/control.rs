//! The node's credential and its stream of pods, against a scripted control behind TLS.

#[path = "support/fake_control.rs"]
mod fake_control;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fake_control::{Call, FakeControl};
use hbone::channel::Token;
use hbone::wire::pb::ambit::node::v1 as pb;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use ztunnel_node::source::control::ControlSource;
use ztunnel_node::source::credential::{Credential, CredentialFiles, pod_credential};
use ztunnel_node::source::{PodEvent, PodSource, Report, Reports, State};

const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a credential until dropped.
struct Keeper {
    valid: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Keeper {
    fn start(control: &FakeControl, directory: &Path) -> Self {
        let files = CredentialFiles {
            join_token: directory.join("join"),
            credential: directory.join("credential"),
        };
        let renew = control.way(Token::File(files.credential.clone()));
        let keeper = Credential::new(control.way(Token::Absent), renew, files, "node-a".into());
        let (valid, receiver) = watch::channel(false);
        let stop = CancellationToken::new();
        tokio::spawn(keeper.keep(valid, stop.clone()));
        Self { valid: receiver, stop }
    }

    async fn valid(&mut self) {
        let wait = self.valid.wait_for(|valid| *valid);
        timeout(PATIENCE, wait).await.expect("in time").expect("lives");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_buys_a_credential_once_and_a_restart_needs_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = FakeControl::start(directory.path(), 3600).await;
    std::fs::write(directory.path().join("join"), "single-use\n").expect("written");
    let mut keeper = Keeper::start(&control, directory.path());
    keeper.valid().await;
    let file = directory.path().join("credential");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), "joined");
    let mode = std::fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let join = Call { what: "join node-a single-use".into(), bearer: None };
    assert_eq!(*control.calls.lock().expect("whole"), [join]);

    drop(keeper);
    std::fs::remove_file(directory.path().join("join")).expect("removed");
    Keeper::start(&control, directory.path()).valid().await;
    assert_eq!(control.asked().len(), 1, "nothing was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_renewed_with_itself_at_half_of_its_life() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = FakeControl::start(directory.path(), 4).await;
    std::fs::write(directory.path().join("join"), "single-use").expect("written");
    let _keeper = Keeper::start(&control, directory.path());
    until("renewed", || control.asked().iter().any(|call| call == "renew")).await;
    let calls = control.calls.lock().expect("whole").clone();
    assert_eq!(calls[1].bearer.as_deref(), Some("Bearer joined"));
    let file = directory.path().join("credential");
    until("written", || std::fs::read_to_string(&file).is_ok_and(|text| text == "renewed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_and_reports_go_on_after_the_stream_breaks() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut control = FakeControl::start(directory.path(), 3600).await;
    let (events, mut received) = mpsc::channel(16);
    let (reports, stop) = (Reports::default(), CancellationToken::new());
    let (_valid, credential) = watch::channel(true);
    let source = ControlSource::new(control.way(Token::Text("node".into())), credential);
    tokio::spawn(source.run(events, reports.clone(), stop.clone()));
    let enrolled = Report { state: State::Enrolled, older_connections: 3, ..Report::default() };
    reports.set(&"u1".into(), enrolled);

    for round in 0..2 {
        let stream = timeout(PATIENCE, control.streams.recv()).await.expect("in time");
        let mut stream = stream.expect("a stream");
        let hello = stream.reports.next().await.expect("open").expect("a report");
        assert!(matches!(hello.report, Some(pb::node_report::Report::Hello(_))), "round {round}");
        let good = pb::Pod { name: "web".into(), namespace: "shop".into(), ..pod("u1") };
        let bad = pb::Pod { name: "../web".into(), namespace: "shop".into(), ..pod("u2") };
        let snapshot = pb::Snapshot { pods: vec![bad, good] };
        send(&stream.updates, pb::node_update::Update::Snapshot(snapshot)).await;
        let Some(PodEvent::Snapshot(pods)) = received.recv().await else { panic!("a snapshot") };
        assert_eq!(pods.len(), 1, "what cannot be understood stops nothing else");
        let removed = pb::RemovedPod { uid: "u1".into() };
        send(&stream.updates, pb::node_update::Update::Removed(removed)).await;
        assert_eq!(received.recv().await, Some(PodEvent::Removed("u1".into())));
        let report = stream.reports.next().await.expect("open").expect("a report");
        let Some(pb::node_report::Report::Pod(report)) = report.report else { panic!("a pod") };
        assert_eq!((report.uid.as_str(), report.older_connections), ("u1", 3), "round {round}");
        // Dropped: the stream ends without an error, which is no reason to stay away.
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_before_the_snapshot_is_not_believed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut control = FakeControl::start(directory.path(), 3600).await;
    let (events, mut received) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let (_valid, credential) = watch::channel(true);
    let source = ControlSource::new(control.way(Token::Text("node".into())), credential);
    tokio::spawn(source.run(events, Reports::default(), stop.clone()));
    let first = control.streams.recv().await.expect("a stream");
    let removed = pb::RemovedPod { uid: "u1".into() };
    send(&first.updates, pb::node_update::Update::Removed(removed)).await;
    let second = timeout(PATIENCE, control.streams.recv()).await.expect("in time");
    assert!(second.is_some(), "the stream is opened again");
    assert!(received.try_recv().is_err(), "nothing was passed on");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_a_credential_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = FakeControl::start(directory.path(), 100).await;
    let file = directory.path().join("pod");
    let named = pb::Pod { name: "gate".into(), namespace: "shop".into(), ..pod("u1") };
    let gate = named.try_into().expect("a pod");
    let way = control.way(Token::Text("node".into()));
    let wait = pod_credential(&way, &gate, &file).await.expect("bought");
    assert!((48..=50).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), "pods");
    let call = Call { what: "pod gate".into(), bearer: Some("Bearer node".into()) };
    assert_eq!(*control.calls.lock().expect("whole"), [call]);
}

fn pod(uid: &str) -> pb::Pod {
    pb::Pod { uid: uid.into(), enrol: true, ..pb::Pod::default() }
}

async fn send(
    updates: &mpsc::Sender<Result<pb::NodeUpdate, tonic::Status>>,
    update: pb::node_update::Update,
) {
    let update = pb::NodeUpdate { update: Some(update) };
    updates.send(Ok(update)).await.expect("the node listens");
}
