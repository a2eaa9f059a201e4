//! The rules of snapshot, Add, Keep and Del.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_the_snapshot_are_served_and_then_it_is_ready() {
    let node = Node::start();
    let agent = node.accept();
    let (a, b) = (netns(), netns());
    assert_eq!(agent.add("a", &a), "");
    assert_eq!(agent.add("b", &b), "");
    assert!(!node.readiness.is_ready(), "the snapshot is not complete");
    assert_eq!(agent.snapshot_sent(), "");
    until("ready", || node.readiness.is_ready()).await;
    assert_eq!(node.events(), ["start a", "start b"]);
    let list = node.view.list();
    assert_eq!(list.keys().collect::<Vec<_>>(), ["a", "b"]);
    let json = serde_json::to_value(&list["a"]).expect("JSON");
    let info = serde_json::json!({"name": "pod-a", "namespace": "shop", "serviceAccount": "web"});
    assert_eq!(json, serde_json::json!({"state": "Up", "info": info}));
    assert_eq!(node.counts(), (2, 0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_again_changes_something_only_if_the_namespace_did() {
    let node = Node::start();
    let agent = node.accept();
    let (old, new) = (netns(), netns());
    agent.add("a", &old);
    agent.snapshot_sent();
    assert_eq!(agent.add("a", &old.try_clone().expect("clone")), "");
    assert_eq!(node.events(), ["start a"]);
    assert_eq!(agent.add("a", &new), "");
    assert_eq!(node.events(), ["Now a", "start a"]);
    assert!(node.readiness.is_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_snapshot_keeps_what_it_names_and_stops_the_rest() {
    let node = Node::start();
    let agent = node.accept();
    let (a, b, c) = (netns(), netns(), netns());
    for (uid, netns) in [("a", &a), ("b", &b), ("c", &c)] {
        agent.add(uid, netns);
    }
    agent.snapshot_sent();
    node.events();
    drop(agent);

    let agent = node.accept();
    until("not ready without a snapshot", || !node.readiness.is_ready()).await;
    assert_eq!(agent.keep("a"), "");
    assert_eq!(agent.keep("never-seen"), "");
    assert_eq!(agent.add("b", &b), "");
    assert_eq!(node.events(), Vec::<String>::new(), "nothing stops while the snapshot comes");
    assert_eq!(agent.snapshot_sent(), "");
    assert_eq!(node.events(), ["Now c"]);
    until("ready", || node.readiness.is_ready()).await;
    assert_eq!(node.view.list().into_keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_del_in_the_snapshot_takes_the_name_back() {
    let node = Node::start();
    let agent = node.accept();
    let a = netns();
    agent.add("a", &a);
    assert_eq!(agent.del("a"), "");
    assert_eq!(node.events(), ["start a"], "it runs until the snapshot is complete");
    agent.snapshot_sent();
    assert_eq!(node.events(), ["Now a"]);
    until("ready, no ghost", || node.readiness.is_ready()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_del_stops_the_pod_and_an_unknown_one_is_acknowledged() {
    let node = Node::start();
    let agent = node.accept();
    agent.snapshot_sent();
    let a = netns();
    assert_eq!(agent.del("a"), "");
    agent.add("a", &a);
    assert_eq!(agent.del("a"), "");
    assert_eq!(node.events(), ["start a", "Now a"]);
    assert_eq!(agent.del("a"), "");
    assert_eq!(node.counts(), (0, 0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_lives_on_drains_and_is_closed_once_its_interfaces_are_gone() {
    let node = Node::start();
    let agent = node.accept();
    agent.snapshot_sent();
    let pod = netns();
    ip(&pod, &["link", "add", "eth0", "type", "veth", "peer", "name", "peer0"]);
    agent.add("a", &pod);
    agent.del("a");
    assert_eq!(node.events(), ["start a", "Drain a"], "un-enrolled: connections live on");
    ip(&pod, &["link", "del", "eth0"]);
    until("closed", || node.proxies.events.lock().expect("lock").as_slice() == ["Now a"]).await;
}

fn ip(netns: &Netns, arguments: &[&str]) {
    let run = || std::process::Command::new("ip").args(arguments).status();
    assert!(netns.run(run).expect("entered").expect("ip runs").success(), "{arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_drains_every_pod() {
    let node = Node::start();
    let agent = node.accept();
    let a = netns();
    agent.add("a", &a);
    agent.snapshot_sent();
    node.shutdown.cancel();
    let manager = tokio::time::timeout(PATIENCE, node.manager).await;
    manager.expect("ends in time").expect("no panic");
    assert_eq!(*node.proxies.events.lock().expect("lock"), ["start a", "Drain a"]);
    assert!(!node.readiness.is_ready());
    assert!(agent.is_closed());
}
