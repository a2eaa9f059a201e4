//! One bad pod, one bad packet, an agent that goes away.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_start_is_refused_retried_and_blocks_readiness_alone() {
    let node = Node::start();
    node.set_failing(&["bad"]);
    let agent = node.accept();
    let (bad, good) = (netns(), netns());
    let error = agent.add("bad", &bad);
    assert!(error.contains("pod bad") && error.contains("port 15001 is taken"), "{error}");
    assert_eq!(agent.add("good", &good), "", "the connection goes on");
    agent.snapshot_sent();
    assert_eq!(node.counts(), (1, 1, 1, 0));
    assert!(!node.readiness.is_ready());
    assert_eq!(node.view.list()["bad"].state, WorkloadState::Pending);
    node.set_failing(&[]);
    until("retried", || node.readiness.is_ready()).await;
    assert_eq!(node.counts(), (2, 0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_pod_that_is_deleted_or_not_named_again_does_not_block() {
    let node = Node::start();
    node.set_failing(&["a", "b"]);
    let agent = node.accept();
    let (a, b) = (netns(), netns());
    agent.add("a", &a);
    agent.del("a");
    agent.add("b", &b);
    agent.snapshot_sent();
    assert_eq!(node.counts().1, 1);
    drop(agent);
    let agent = node.accept();
    agent.snapshot_sent();
    until("ready", || node.readiness.is_ready()).await;
    assert_eq!(node.counts(), (0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_that_is_no_namespace_is_refused_alone() {
    let node = Node::start();
    let agent = node.accept();
    let file = std::fs::File::open("/dev/null").expect("file");
    let error = agent.request(add("a"), &[file.as_fd()]);
    assert!(error.contains("no network namespace"), "{error}");
    let good = netns();
    assert_eq!(agent.add("b", &good), "");
    agent.snapshot_sent();
    until("ready", || node.readiness.is_ready()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_request_ends_the_connection_and_leaks_no_descriptor() {
    let node = Node::start();
    let info = Some(pb::WorkloadInfo::default());
    let encode = |payload| pb::WorkloadRequest { payload: Some(payload) }.encode_to_vec();
    let named = |uid: &str| pb::AddWorkload { uid: uid.into(), workload_info: info.clone() };
    let long = encode(Payload::Add(named(&"x".repeat(1100))));
    let bare = encode(Payload::Add(pb::AddWorkload { uid: "a".into(), workload_info: None }));
    let keep = encode(Payload::Keep(pb::KeepWorkload { uid: "a".into() }));
    for (case, packet, descriptors) in [
        ("Add without descriptor", encode(add("a")), 0),
        ("Add with two", encode(add("a")), 2),
        ("Add with very many", encode(add("a")), 200),
        ("Add without workload_info", bare, 1),
        ("Add without uid", encode(Payload::Add(named(""))), 1),
        ("Keep with a descriptor", keep, 1),
        ("over 1024 bytes", long, 1),
        ("not decodable", b"\xff\xff\xff".to_vec(), 1),
        ("no payload", Vec::new(), 1),
    ] {
        let agent = node.accept();
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        let rights: Vec<BorrowedFd<'_>> = (0..descriptors).map(|_| writer.as_fd()).collect();
        agent.send_raw(&packet, &rights);
        assert_ne!(agent.answer(), "", "{case}: refused");
        assert!(agent.is_closed(), "{case}: the connection ends");
        drop(writer);
        // The end comes only when no copy of the writer is open any more.
        let read = block_in_place(|| reader.read(&mut [0]));
        assert_eq!(read.expect("the end"), 0, "{case}: closed");
    }
    let agent = node.accept();
    agent.snapshot_sent();
    until("ready after all that", || node.readiness.is_ready()).await;
    assert_eq!(node.events(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_snapshot_end_and_a_late_keep_break_the_protocol() {
    let node = Node::start();
    let agent = node.accept();
    agent.snapshot_sent();
    assert_ne!(agent.snapshot_sent(), "");
    assert!(agent.is_closed());
    let agent = node.accept();
    agent.snapshot_sent();
    assert_ne!(agent.keep("a"), "");
    assert!(agent.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_served_on_while_the_agent_is_away() {
    let node = Node::start();
    let agent = node.accept();
    let a = netns();
    agent.add("a", &a);
    agent.snapshot_sent();
    until("ready", || node.readiness.is_ready()).await;
    drop(agent);
    until("not ready", || !node.readiness.is_ready()).await;
    assert_eq!(node.events(), ["start a"]);
    assert_eq!(node.view.list().len(), 1);
    let agent = node.accept();
    agent.keep("a");
    agent.snapshot_sent();
    until("ready again", || node.readiness.is_ready()).await;
    assert_eq!(node.events(), Vec::<String>::new(), "it never stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pods_at_once() {
    let node = Node::start();
    let agent = node.accept();
    let shared = netns();
    for n in 0..200 {
        assert_eq!(agent.add(&format!("p{n}"), &shared), "");
    }
    agent.snapshot_sent();
    until("ready", || node.readiness.is_ready()).await;
    assert_eq!(node.view.list().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_any_length_fits_into_its_answer() {
    let node = Node::start();
    // Four bytes each.
    let long = "\u{10348}".repeat(100);
    node.set_failing(&[&long]);
    let agent = node.accept();
    let error = agent.add(&long, &netns());
    assert!(error.starts_with("pod \u{10348}"), "{error}");
    assert_eq!(error.chars().count(), session::MAX_ERROR / 4, "{error}");
    assert!(error.len() <= session::MAX_ERROR, "{} bytes", error.len());
    assert_eq!(agent.add("good", &netns()), "", "the connection goes on");
}

/// Each pod of a test keeps a descriptor of its namespace.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_so_many_pods_and_one_more_is_refused() {
    allow_many_files();
    let node = Node::start();
    let agent = node.accept();
    let shared = netns();
    for n in 0..manager::MAX_PODS {
        assert_eq!(agent.add(&format!("p{n}"), &shared), "", "{n}");
    }
    let error = agent.add("more", &shared);
    assert!(error.starts_with("pod more is refused"), "{error}");
    assert_eq!(agent.snapshot_sent(), "", "the connection goes on");
    assert_eq!(node.counts().0, i64::try_from(manager::MAX_PODS).expect("small"));
    assert_eq!(agent.del("p0"), "");
    assert_eq!(agent.add("more", &shared), "", "there is room again");
}
