//! The whole agent: a source and a proxy that say what the test tells them to, everything
//! between them real.

#[path = "support/lab.rs"]
mod lab;
#[path = "support/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::{Lab, PATIENCE, accept, connect, listen, output, proxy_listen, talk};
use prometheus_client::registry::Registry;
use proxy::{FakeProxy, Said};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use ztunnel_node::agent::{Agent, AgentConfig};
use ztunnel_node::enrol::Exclusions;
use ztunnel_node::enrolment::Timing;
use ztunnel_node::pod::{Pod, Uid};
use ztunnel_node::redirect::host::HostProbes;
use ztunnel_node::source::{PodEvent, PodSource, Reports, State};

/// Passes on what the test sends.
struct Scripted(mpsc::Receiver<PodEvent>);

impl PodSource for Scripted {
    async fn run(mut self, events: mpsc::Sender<PodEvent>, _: Reports, stop: CancellationToken) {
        loop {
            tokio::select! {
                event = self.0.recv() => match event {
                    Some(event) => events.send(event).await.expect("the agent lives"),
                    None => return stop.cancelled().await,
                },
                () = stop.cancelled() => return,
            }
        }
    }
}

struct Node {
    agent: Agent,
    events: mpsc::Sender<PodEvent>,
    registry: Registry,
    stop: CancellationToken,
    directory: std::sync::Arc<tempfile::TempDir>,
}

impl Node {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory").into())
    }

    fn start_in(directory: std::sync::Arc<tempfile::TempDir>) -> Self {
        let (events, source) = mpsc::channel(16);
        let config = AgentConfig {
            run_dir: directory.path().join("run"),
            zds_socket: directory.path().join("ztunnel/ztunnel.sock"),
            exclusions: Exclusions::default(),
            timing: Timing {
                verify: Duration::from_millis(200),
                settle: Duration::from_millis(300),
                recheck: Duration::from_millis(100),
                retry: Duration::from_millis(200),
            },
            probes: HostProbes::default(),
        };
        let mut registry = Registry::default();
        let stop = CancellationToken::new();
        let source = Scripted(source);
        let agent = Agent::start(config, source, &mut registry, stop.clone()).expect("started");
        Self { agent, events, registry, stop, directory }
    }

    fn zds(&self) -> PathBuf {
        self.directory.path().join("ztunnel/ztunnel.sock")
    }

    async fn say(&self, event: PodEvent) {
        self.events.send(event).await.expect("the agent lives");
    }

    async fn changed(&self, pod: &Pod) {
        self.say(PodEvent::Changed(Box::new(pod.clone()))).await;
    }

    /// A proxy that acks everything, and what it hears.
    async fn proxy(&self) -> (Vec<Said>, mpsc::UnboundedReceiver<Said>) {
        let path = self.zds();
        let joined = spawn_blocking(move || FakeProxy::join(&path)).await.expect("joined");
        let (proxy, snapshot) = joined;
        let (heard, hears) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            loop {
                let said = proxy.hear();
                if said == Said::Closed || heard.send(said).is_err() {
                    return;
                }
                proxy.ack("");
            }
        });
        (snapshot, hears)
    }

    fn cni(&self, body: String) -> JoinHandle<(u16, String)> {
        let socket = self.directory.path().join("run/pluginevent.sock");
        spawn_blocking(move || call(&socket, &body))
    }

    async fn reported(&self, uid: &str, state: State) -> u64 {
        let uid = Uid::from(uid);
        let end = Instant::now() + PATIENCE;
        loop {
            let all = self.agent.reports().all();
            let report = all.into_iter().find(|(found, _)| *found == uid);
            if let Some((_, report)) = &report
                && report.state == state
            {
                return report.older_connections;
            }
            assert!(Instant::now() < end, "wanted {state:?}, found {report:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn metrics(&self) -> String {
        self.agent.refresh_metrics();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encoded");
        text
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn pod(lab: &Lab, uid: &str) -> Pod {
    Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: uid.into(),
        service_account: "default".into(),
        ips: vec![lab.v4.pod.parse().expect("an address")],
        labelled: true,
        terminated: false,
        host_network: false,
        annotations: BTreeMap::new(),
        waypoint: None,
        sandbox: false,
    }
}

fn announcement(lab: &Lab, name: &str) -> String {
    let pid = lab.pod_pid();
    format!(
        r#"{{"Netns":"/proc/{pid}/ns/net","PodName":"{name}","PodNamespace":"shop","IPs":null}}"#
    )
}

fn call(socket: &std::path::Path, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let length = body.len();
    let head = format!("POST /cmdadd HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let mut answer = String::new();
    // Who is refused may find the connection closed while writing.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer)
}

async fn heard(hears: &mut mpsc::UnboundedReceiver<Said>) -> Said {
    let heard = tokio::time::timeout(PATIENCE, hears.recv()).await;
    heard.expect("in time").expect("the proxy lives")
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn rules(lab: &Lab) -> String {
    output(&lab.pod, "nft", &["list", "ruleset"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_captured_before_its_announcement_is_answered() {
    let (lab, node) = (Lab::new(), Node::start());
    let (snapshot, mut hears) = node.proxy().await;
    assert!(snapshot.is_empty());
    // The call may come before the source has named the pod.
    let answer = node.cni(announcement(&lab, "web"));
    node.changed(&pod(&lab, "web")).await;
    assert_eq!(answer.await.expect("ran").0, 200);
    assert!(rules(&lab).contains("redirect to :15001"));
    let want = Said::Add { uid: "web".into(), name: "web".into(), netns: lab.pod.id() };
    assert_eq!(heard(&mut hears).await, want);
    assert_eq!(node.reported("web", State::Enrolled).await, 0);
    let text = node.metrics();
    assert!(text.contains("ztunnel_connected 1"), "{text}");
    assert!(text.contains(r#"ambit_node_pods{state="enrolled"} 1"#), "{text}");
    assert!(text.contains(r#"nodeagent_reconcile_events_total{type="enrolled"} 1"#), "{text}");

    node.say(PodEvent::Removed("web".into())).await;
    assert_eq!(heard(&mut hears).await, Said::Del("web".into()));
    until("the rules of a gone pod end", || rules(&lab).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_granted_fails_the_pods_start() {
    let (lab, node) = (Lab::new(), Node::start());
    node.changed(&pod(&lab, "web")).await;
    let (status, _) = node.cni(announcement(&lab, "web")).await.expect("ran");
    assert_eq!(status, 500, "there is no proxy");
    assert!(rules(&lab).contains("redirect to :15001"), "captured rather than unprotected");
    node.reported("web", State::Pending).await;
    for (case, body, want) in [
        ("unknown pod", announcement(&lab, "nobody"), 500),
        ("no JSON", "netns".to_owned(), 400),
        ("link", announcement(&lab, "web").replace(&lab.pod_pid().to_string(), "self"), 500),
        ("too long", format!(r#"{{"Netns":"{}"}}"#, "x".repeat(70_000)), 400),
        (
            "the node's own",
            announcement(&lab, "web")
                .replace(&lab.pod_pid().to_string(), &std::process::id().to_string()),
            500,
        ),
    ] {
        assert_eq!(node.cni(body).await.expect("ran").0, want, "{case}");
    }
    let outside = Pod { labelled: false, ..pod(&lab, "outside") };
    node.changed(&outside).await;
    let other = Lab::new();
    assert_eq!(node.cni(announcement(&other, "outside")).await.expect("ran").0, 200);
    assert_eq!(rules(&other), "", "a pod without label is left alone");
}

/// Not a test of its own: the body of a process under another user.
#[test]
#[ignore = "started by the next test"]
fn a_foreign_caller() {
    let Ok(socket) = std::env::var("TEST_SOCKET") else { return };
    let (status, answer) = call(socket.as_ref(), "{}");
    assert_eq!((status, answer.as_str()), (0, ""), "no answer at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_not_root_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::start();
    let run = node.directory.path().join("run");
    let socket = run.join("pluginevent.sock");
    assert_eq!(call(&socket, "{}").0, 400, "root is heard");
    // Even where an operator opened the files to everybody.
    for path in [node.directory.path(), &run, &socket] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("set");
    }
    let mut child = std::process::Command::new("/proc/self/exe");
    child.args(["--exact", "--ignored", "a_foreign_caller"]).env("TEST_SOCKET", &socket);
    let output = child.uid(65534).gid(65534).current_dir("/").output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pod_enters_and_leaves_while_its_connections_go_on() {
    let (lab, node) = (Lab::new(), Node::start());
    let (_, mut hears) = node.proxy().await;
    let server = listen(&lab.peer, &lab.v4.peer, 8000);
    let mut old = connect(&lab.pod, &lab.v4.peer, 8000);
    let (mut old_served, _) = accept(&server);
    let listener = proxy_listen(&lab.pod, 15001);

    node.changed(&pod(&lab, "web")).await;
    assert_eq!(node.reported("web", State::Enrolled).await, 1, "found through /proc");
    assert!(matches!(heard(&mut hears).await, Said::Add { .. }));
    talk(&mut old, &mut old_served);
    let mut carried = connect(&lab.pod, &lab.v4.peer, 8000);
    let (mut carrier, _) = accept(&listener);
    talk(&mut carried, &mut carrier);

    node.changed(&Pod { labelled: false, ..pod(&lab, "web") }).await;
    node.reported("web", State::NotEnrolled).await;
    assert!(!rules(&lab).contains("redirect"), "removed before the report");
    let mut direct = connect(&lab.pod, &lab.v4.peer, 8000);
    talk(&mut direct, &mut accept(&server).0);
    assert_eq!(heard(&mut hears).await, Said::Del("web".into()));
    talk(&mut old, &mut old_served);
    talk(&mut carried, &mut carrier);
    assert!(rules(&lab).contains("istio-ambient-mangle"), "a connection is still carried");
    drop((carried, carrier));
    until("everything is removed", || rules(&lab).is_empty()).await;
    talk(&mut old, &mut old_served);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_changes_its_mind_stays() {
    let (lab, node) = (Lab::new(), Node::start());
    let (_, mut hears) = node.proxy().await;
    for _ in 0..3 {
        node.changed(&pod(&lab, "web")).await;
        node.reported("web", State::Enrolled).await;
        assert!(matches!(heard(&mut hears).await, Said::Add { .. }));
        node.changed(&Pod { labelled: false, ..pod(&lab, "web") }).await;
        node.reported("web", State::NotEnrolled).await;
    }
    node.changed(&pod(&lab, "web")).await;
    node.reported("web", State::Enrolled).await;
    until("redirected again", || rules(&lab).contains("redirect to :15001")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_goes_on_with_its_pods_before_it_hears_of_any() {
    let (lab, node) = (Lab::new(), Node::start());
    let (_, _hears) = node.proxy().await;
    let server = listen(&lab.peer, &lab.v4.peer, 8000);
    let _old = connect(&lab.pod, &lab.v4.peer, 8000);
    accept(&server);
    node.changed(&pod(&lab, "web")).await;
    node.reported("web", State::Enrolled).await;
    let directory = node.directory.clone();
    drop(node);
    assert!(rules(&lab).contains("redirect to :15001"), "rules stay without an agent");

    let node = Node::start_in(directory);
    let (snapshot, mut hears) = node.proxy().await;
    let want = Said::Add { uid: "web".into(), name: "web".into(), netns: lab.pod.id() };
    assert_eq!(snapshot, [want]);
    node.reported("web", State::Enrolled).await;
    node.say(PodEvent::Snapshot(Vec::new())).await;
    assert_eq!(heard(&mut hears).await, Said::Del("web".into()), "gone meanwhile");
    until("the rules of a gone pod end", || rules(&lab).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_rules_come_back_and_are_counted() {
    let (lab, node) = (Lab::new(), Node::start());
    let (_, _hears) = node.proxy().await;
    node.changed(&pod(&lab, "web")).await;
    node.reported("web", State::Enrolled).await;
    output(&lab.pod, "nft", &["flush", "ruleset"]);
    until("restored", || rules(&lab).contains("redirect to :15001")).await;
    until("counted", || node.metrics().contains(r#"{type="restored"} 1"#)).await;
}

#[test]
fn a_configuration_without_end_is_refused_by_the_plugin() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    for (blanks, code) in [(1_usize << 19, None), (1 << 20, Some(6))] {
        let mut plugin = Command::new(env!("CARGO_BIN_EXE_ambit-cni"))
            .env("CNI_COMMAND", "VERSION")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        let input = " ".repeat(blanks) + r#"{"cniVersion":"1.0.0"}"#;
        // It may end before it has read all.
        let _ = plugin.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = plugin.wait_with_output().expect("ends");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(said["code"].as_u64(), code, "{said}");
        assert_eq!(output.status.success(), code.is_none(), "{said}");
    }
}
