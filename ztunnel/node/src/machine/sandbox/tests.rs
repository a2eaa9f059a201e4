use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

fn pod(uid: &str, ips: &[&str]) -> Pod {
    let wire = hbone::wire::pb::ambit::node::v1::Pod {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: "waypoint-a".to_owned(),
        ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
        ..Default::default()
    };
    Pod::try_from(wire).expect("a pod")
}

/// Runs `work` on a thread in a namespace of its own that stands for the node.
fn on_a_node<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let node = Netns::create().expect("root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        node.run(|| runtime.expect("a runtime").block_on(work())).expect("entered");
    });
    thread.join().expect("no panic");
}

#[test]
fn the_node_and_the_pod_talk_over_both_families() {
    on_a_node(|| async {
        let pod = pod("aaaa-0001", &["10.1.0.241", "fd00:1::f1"]);
        let sandbox = Sandbox::create(&pod).await.expect("made");
        for ip in &pod.ips {
            let address = SocketAddr::new(*ip, 80);
            let listener = sandbox.netns().run(|| TcpListener::bind(address)).expect("entered");
            let listener = listener.expect("the pod has its address");
            let client = std::thread::spawn({
                let node = Netns::current().expect("the node");
                move || node.run(|| TcpStream::connect(address)).expect("entered")
            });
            let (mut inside, _) = listener.accept().expect("accepted");
            inside.write_all(b"hello").expect("sent");
            drop(inside);
            let mut text = String::new();
            let mut client = client.join().expect("no panic").expect("connected");
            client.read_to_string(&mut text).expect("received");
            assert_eq!(text, "hello", "{ip}");
        }
        let link = sandbox.link.clone();
        sandbox.remove().await;
        assert!(if_nametoindex(link.as_str()).is_err(), "the link is gone");
    });
}

#[test]
fn what_a_former_agent_left_is_replaced() {
    on_a_node(|| async {
        let pod = pod("aaaa-0002", &["10.1.0.242"]);
        let former = Sandbox::create(&pod).await.expect("made");
        let sandbox = Sandbox::create(&pod).await.expect("made again");
        assert_ne!(former.netns().id(), sandbox.netns().id());
        let address: SocketAddr = "10.1.0.242:80".parse().expect("an address");
        let listener = sandbox.netns().run(|| TcpListener::bind(address)).expect("entered");
        let _listener = listener.expect("bound");
        TcpStream::connect(address).expect("leads to the new one");
    });
}

#[test]
fn each_pod_has_a_link_of_its_own() {
    for (uid, want) in [
        ("a-b", "wpab"),
        ("00000000-0000-8000-a000-0123456789ab", "wp00123456789ab"),
        ("10000000-0000-8000-a000-0123456789ac", "wp00123456789ac"),
    ] {
        let name = link_name(&uid.into());
        assert_eq!(name, want);
        assert!(name.len() <= MAX_NAME);
    }
}
