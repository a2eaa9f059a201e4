use std::net::Ipv4Addr;

use super::*;

/// A namespace of its own with loopback up and a second address on it.
fn pod() -> Arc<Netns> {
    let pod = Netns::create().expect("a network namespace; run as root");
    let up = || {
        for args in
            [vec!["link", "set", "lo", "up"], vec!["addr", "add", "10.9.9.9/32", "dev", "lo"]]
        {
            let done = std::process::Command::new("ip").args(args).status().expect("ip");
            assert!(done.success());
        }
    };
    pod.run(up).expect("entered");
    Arc::new(pod)
}

fn sockets() -> InPod {
    let home = Arc::new(Netns::current().expect("own namespace"));
    InPod::new(pod(), home, SocketOptions::default())
}

#[tokio::test]
async fn sockets_belong_to_the_pod_and_both_families_reach_the_listener() {
    let sockets = sockets();
    let listener = sockets.listen(39_008, Peer::Remote).expect("listen");
    for target in ["127.0.0.1:39008", "[::1]:39008", "10.9.9.9:39008"] {
        let target: SocketAddr = target.parse().expect("address");
        let (near, far) =
            tokio::join!(sockets.connect(target, None, Peer::Remote), listener.accept());
        let (near, (far, _)) = (near.expect("connect"), far.expect("accept"));
        assert_eq!(canonical(far.local_addr().expect("local")), target);
        assert_eq!(original_destination(&far).expect("no redirect"), target);
        for socket in [&near, &far] {
            assert!(socket.nodelay().expect("nodelay"));
            let keepalive = SockRef::from(socket).tcp_keepalive_time().expect("option");
            assert_eq!(keepalive, Duration::from_mins(3));
        }
        assert_eq!(SockRef::from(&near).mark().expect("mark"), 1337);
    }
    // Nobody listens in our own namespace.
    let error = TcpStream::connect((Ipv4Addr::LOCALHOST, 39_008)).await.expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn programs_behind_a_virtual_interface_are_watched_too() {
    let sockets = sockets();
    let listener = sockets.listen(15_001, Peer::Application).expect("listen");
    let to = (Ipv4Addr::LOCALHOST, 15_001).into();
    let (_near, far) =
        tokio::join!(sockets.connect(to, None, Peer::Application), listener.accept());
    let far = far.expect("accept").0;
    assert!(SockRef::from(&far).keepalive().expect("option"));
    assert!(SockRef::from(&far).tcp_congestion().expect("option").starts_with(LOOPBACK_CONGESTION));
}

#[tokio::test]
async fn a_successor_can_listen_beside_its_predecessor() {
    let sockets = sockets();
    let _first = sockets.listen(15006, Peer::Remote).expect("listen");
    sockets.listen(15006, Peer::Remote).expect("listen again");
}

#[tokio::test]
async fn a_spoofed_connection_comes_from_the_address_it_was_told() {
    let sockets = sockets();
    let listener = sockets.listen(8080, Peer::Remote).expect("listen");
    let route = || {
        let mut ip = std::process::Command::new("ip");
        let status = ip.args(["route", "add", "local", "192.0.2.77/32", "dev", "lo"]).status();
        assert!(status.expect("ip").success());
    };
    sockets.pod.run(route).expect("entered");
    let from: IpAddr = Ipv4Addr::new(192, 0, 2, 77).into();
    let to = (Ipv4Addr::LOCALHOST, 8080).into();
    let (near, far) =
        tokio::join!(sockets.connect(to, Some(from), Peer::Application), listener.accept());
    let near = near.expect("connect");
    assert!(!SockRef::from(&near).keepalive().expect("option"), "over loopback");
    assert_eq!(canonical(far.expect("accept").1).ip(), from);
    let congestion = SockRef::from(&near).tcp_congestion().expect("option");
    assert!(congestion.starts_with(LOOPBACK_CONGESTION));
}
