//! Redirection in real network namespaces, with real connections through it.

#[path = "support/lab.rs"]
mod lab;

use std::net::{IpAddr, SocketAddr};

use hbone::netns::Netns;
use lab::{
    Family, Lab, accept, connect, listen, original_destination, output, proxy_listen, spoof, talk,
};
use ztunnel_node::flows;
use ztunnel_node::pod::Uid;
use ztunnel_node::redirect::host::HostProbes;
use ztunnel_node::redirect::nft::{self, NftError};
use ztunnel_node::redirect::{self, Options, Redirection};

fn full() -> Redirection {
    Redirection::Full(Options::default())
}

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

#[tokio::test]
async fn connections_older_than_the_rules_go_on_and_new_ones_reach_the_proxy() {
    let lab = Lab::new();
    let mut old = Vec::new();
    for Family { pod, peer } in lab.families() {
        for (server, ip, client) in [(&lab.peer, peer, &lab.pod), (&lab.pod, pod, &lab.peer)] {
            let listener = listen(server, ip, 8000);
            let ours = connect(client, ip, 8000);
            old.push((ours, accept(&listener).0));
        }
    }
    let older = flows::older(&flows::read(&lab.pod).expect("read"));
    assert_eq!(older.len(), 4);

    redirect::apply(&lab.pod, &full()).await.expect("applied");
    for (ours, theirs) in &mut old {
        talk(ours, theirs);
        talk(theirs, ours);
    }
    let outbound = proxy_listen(&lab.pod, 15001);
    let inbound = proxy_listen(&lab.pod, 15006);
    for Family { pod, peer } in lab.families() {
        let mut app = connect(&lab.pod, peer, 8000);
        let (mut proxy, _) = accept(&outbound);
        assert_eq!(original_destination(&proxy), address(peer, 8000));
        talk(&mut app, &mut proxy);
        let mut client = connect(&lab.peer, pod, 8000);
        let (mut proxy, from) = accept(&inbound);
        assert_eq!(original_destination(&proxy), address(pod, 8000));
        assert_eq!(from, client.local_addr().expect("has one"));
        talk(&mut client, &mut proxy);
    }
    let mut older = older;
    drop(old.pop());
    flows::retain_open(&mut older, &flows::read(&lab.pod).expect("read"));
    assert_eq!(older.len(), 3, "one of them ended");
}

#[tokio::test]
async fn the_proxys_own_connections_and_hbone_are_not_redirected() {
    let lab = Lab::new();
    let Family { pod, peer } = &lab.v4;
    redirect::apply(&lab.pod, &full()).await.expect("applied");
    let hbone = proxy_listen(&lab.pod, 15008);
    let app = listen(&lab.pod, pod, 80);
    let _client = connect(&lab.peer, pod, 15008);
    accept(&hbone);
    let from = address(peer, 0);
    let mut proxy = spoof(&lab.pod, from, address(pod, 80));
    let (mut served, from_app) = accept(&app);
    assert_eq!(from_app.ip(), from.ip(), "the application sees the client's address");
    talk(&mut proxy, &mut served);
    // The application calls itself.
    let _own = connect(&lab.pod, pod, 80);
    let (_, own) = accept(&app);
    assert_eq!(own.ip().to_string(), *pod);
}

#[tokio::test]
async fn draining_keeps_open_connections_and_takes_no_new_ones() {
    let lab = Lab::new();
    redirect::apply(&lab.pod, &full()).await.expect("applied");
    let (outbound, inbound) = (proxy_listen(&lab.pod, 15001), proxy_listen(&lab.pod, 15006));
    let mut open = Vec::new();
    let mut apps = Vec::new();
    for Family { pod, peer } in lab.families() {
        let app = connect(&lab.pod, peer, 8000);
        open.push((app, accept(&outbound).0));
        let listener = listen(&lab.pod, pod, 80);
        let client = connect(&lab.peer, pod, 80);
        let (proxy, from) = accept(&inbound);
        open.push((client, proxy));
        let to_app = spoof(&lab.pod, from, address(pod, 80));
        open.push((to_app, accept(&listener).0));
        apps.push(listener);
    }
    redirect::apply(&lab.pod, &Redirection::Draining).await.expect("applied");
    for (ours, theirs) in &mut open {
        talk(ours, theirs);
        talk(theirs, ours);
    }
    for (Family { pod, peer }, app) in lab.families().into_iter().zip(&apps) {
        let server = listen(&lab.peer, peer, 8001);
        let mut client = connect(&lab.pod, peer, 8001);
        talk(&mut client, &mut accept(&server).0);
        let mut client = connect(&lab.peer, pod, 80);
        talk(&mut client, &mut accept(app).0);
    }
    assert!(flows::carried(&flows::read(&lab.pod).expect("read")) > 0);
    drop(open);
    let end = std::time::Instant::now() + lab::PATIENCE;
    while flows::carried(&flows::read(&lab.pod).expect("read")) > 0 {
        assert!(std::time::Instant::now() < end, "still counted");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let left = redirect::apply(&lab.pod, &Redirection::None).await.expect("applied");
    assert!(left.is_empty());
    assert!(!output(&lab.pod, "ip", &["rule"]).contains("0x111"));
    assert_eq!(output(&lab.pod, "ip", &["route", "show", "table", "100"]).trim(), "");
    redirect::apply(&lab.pod, &Redirection::None).await.expect("nothing to remove is no error");
}

#[tokio::test]
async fn rules_that_somebody_removed_come_back() {
    let lab = Lab::new();
    let known = redirect::apply(&lab.pod, &full()).await.expect("applied");
    let again = redirect::apply(&lab.pod, &full()).await.expect("applied");
    assert_eq!(known, again, "the second application changes nothing");
    let unchanged = redirect::restore(&lab.pod, &full(), &known).await.expect("compared");
    assert!(unchanged.is_none());
    for tampering in [
        &["nft", "flush", "ruleset"][..],
        &["nft", "flush", "chain", "inet", "istio-ambient-nat", "istio-output"],
        &["ip", "rule", "del", "priority", "32764"],
        &["ip", "-6", "route", "flush", "table", "100"],
    ] {
        output(&lab.pod, tampering[0], &tampering[1..]);
        let restored = redirect::restore(&lab.pod, &full(), &known).await.expect("restored");
        assert_eq!(restored.as_ref(), Some(&known), "{tampering:?}");
        let quiet = redirect::restore(&lab.pod, &full(), &known).await.expect("compared");
        assert!(quiet.is_none(), "{tampering:?}");
    }
}

/// Whether the rules for probes have these addresses.
fn lets_probes_through(node: &Netns, ips: &[&str]) -> bool {
    let rules = output(node, "nft", &["list", "ruleset"]);
    ips.iter().all(|ip| rules.contains(ip))
}

#[tokio::test]
async fn probes_of_a_former_agents_pods_pass_while_a_new_one_finds_them_again() {
    let node = Netns::create().expect("root");
    let opened = || node.run(Netns::current).expect("entered").expect("opened");
    let pods: Vec<(Uid, Vec<IpAddr>)> = [("a", "10.1.0.5"), ("b", "10.1.0.6"), ("c", "fd00::7")]
        .map(|(uid, ip)| (Uid::from(uid), vec![ip.parse().expect("an address")]))
        .into();
    let former = HostProbes::of(opened());
    for (uid, ips) in &pods {
        former.include(uid, ips).await.expect("applied");
    }
    let all = ["10.1.0.5", "10.1.0.6", "fd00::7"];
    assert!(lets_probes_through(&node, &all));

    let next = HostProbes::of(opened());
    next.resume(pods.iter().cloned());
    for (uid, ips) in &pods[..2] {
        next.include(uid, ips).await.expect("applied");
        assert!(lets_probes_through(&node, &all), "also of those whose turn has not come");
    }
    // One that went while no agent ran.
    next.exclude(&pods[2].0).await.expect("applied");
    assert!(lets_probes_through(&node, &all[..2]) && !lets_probes_through(&node, &all[2..]));
}

#[tokio::test]
async fn what_nft_complains_of_is_cut() {
    let node = Netns::create().expect("root");
    let refused = nft::apply(&node, &"no such thing\n".repeat(100)).await;
    let Err(NftError::Refused { complaint, .. }) = refused else { panic!("{refused:?}") };
    assert!((1..=400).contains(&complaint.chars().count()), "{complaint}");
}
