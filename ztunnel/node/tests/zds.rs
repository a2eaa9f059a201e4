//! The ZDS server against a scripted proxy.

#[path = "support/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use proxy::{FakeProxy, Said};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use ztunnel_node::pod::Pod;
use ztunnel_node::zds::{AddError, Answer, MAX_SESSIONS, Zds};

struct Bench {
    zds: Zds,
    path: PathBuf,
    netns: Arc<Netns>,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ztunnel.sock");
        let (zds, stop) = (Zds::default(), CancellationToken::new());
        let listener = Zds::listen(&path).expect("bound");
        tokio::spawn(zds.clone().serve(listener, stop.clone()));
        let netns = Arc::new(Netns::create().expect("root"));
        Self { zds, path, netns, stop, _directory: directory }
    }

    async fn join(&self) -> (FakeProxy, Vec<Said>) {
        let path = self.path.clone();
        spawn_blocking(move || FakeProxy::join(&path)).await.expect("joined")
    }

    async fn connected(&self, count: usize) {
        let mut connected = self.zds.connected();
        let wait = connected.wait_for(|now| *now == count);
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        waited.expect("in time").expect("the server lives");
    }

    fn add(&self, name: &str) -> tokio::task::JoinHandle<Result<(), AddError>> {
        let (zds, pod, netns) = (self.zds.clone(), pod(name), self.netns.clone());
        tokio::spawn(async move { zds.add(&pod, netns).await })
    }

    fn del(&self, name: &str) -> tokio::task::JoinHandle<()> {
        let (zds, uid) = (self.zds.clone(), name.into());
        tokio::spawn(async move { zds.del(&uid).await })
    }

    fn said(&self, name: &str) -> Said {
        Said::Add { uid: name.into(), name: name.into(), netns: self.netns.id() }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn pod(name: &str) -> Pod {
    Pod {
        uid: name.into(),
        namespace: "shop".into(),
        name: name.into(),
        service_account: "default".into(),
        ips: Vec::new(),
        labelled: true,
        terminated: false,
        host_network: false,
        annotations: BTreeMap::new(),
        waypoint: None,
        sandbox: false,
    }
}

async fn hear(proxy: FakeProxy) -> (FakeProxy, Said) {
    spawn_blocking(move || (proxy.hear(), proxy))
        .await
        .map(|(said, proxy)| (proxy, said))
        .expect("heard")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_first_and_pods_live_after_it() {
    let bench = Bench::new();
    assert!(matches!(bench.add("early").await, Ok(Err(AddError::NoProxy))));
    bench.zds.announce(&pod("elsewhere"), None);
    let (proxy, snapshot) = bench.join().await;
    assert_eq!(snapshot, [bench.said("early"), Said::Keep("elsewhere".into())]);
    bench.connected(1).await;

    let add = bench.add("web");
    let (proxy, said) = hear(proxy).await;
    assert_eq!(said, bench.said("web"));
    assert!(!add.is_finished(), "ready only with the answer");
    proxy.ack("");
    add.await.expect("ran").expect("acked");
    assert_eq!(bench.zds.answer(&"web".into()), Some(Answer::Acked));

    let add = bench.add("db");
    let (proxy, _) = hear(proxy).await;
    proxy.ack("no port");
    let refused = add.await.expect("ran");
    assert!(matches!(refused, Err(AddError::Refused(reason)) if reason == "no port"));
    assert_eq!(bench.zds.answer(&"db".into()), Some(Answer::Refused("no port".into())));

    let del = bench.del("web");
    let (proxy, said) = hear(proxy).await;
    assert_eq!(said, Said::Del("web".into()));
    proxy.ack("");
    del.await.expect("acked");
    assert_eq!(bench.zds.answer(&"web".into()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn add_goes_to_the_newest_proxy_and_del_to_all() {
    let bench = Bench::new();
    let (old, _) = bench.join().await;
    bench.connected(1).await;
    let (new, _) = bench.join().await;
    bench.connected(2).await;
    let add = bench.add("web");
    let (new, said) = hear(new).await;
    assert_eq!(said, bench.said("web"));
    new.ack("");
    add.await.expect("ran").expect("acked");
    let del = bench.del("web");
    let (old, said) = hear(old).await;
    assert_eq!(said, Said::Del("web".into()), "the first that the old one hears");
    old.ack("");
    let (new, said) = hear(new).await;
    assert_eq!(said, Said::Del("web".into()));
    new.ack("");
    del.await.expect("ended");
    // The newer goes first: the older serves again.
    drop(new);
    bench.connected(1).await;
    let add = bench.add("again");
    let (old, said) = hear(old).await;
    assert_eq!(said, bench.said("again"));
    old.ack("");
    add.await.expect("ran").expect("acked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_breaks_the_protocol_is_dropped() {
    for fault in ["unsolicited", "undecodable", "too long", "no hello"] {
        let bench = Bench::new();
        let path = bench.path.clone();
        let (proxy, adding) = if fault == "no hello" {
            let proxy = spawn_blocking(move || FakeProxy::connect(&path)).await.expect("connected");
            proxy.say(b"\xff");
            (proxy, None)
        } else {
            let (proxy, _) = bench.join().await;
            bench.connected(1).await;
            if fault == "unsolicited" {
                proxy.ack("");
                (proxy, None)
            } else {
                let add = bench.add("web");
                let (proxy, _) = hear(proxy).await;
                let long = vec![b'x'; 1100];
                proxy.say(if fault == "too long" { &long } else { b"\xff\xff" });
                (proxy, Some(add))
            }
        };
        assert_eq!(hear(proxy).await.1, Said::Closed, "{fault}");
        bench.connected(0).await;
        if let Some(add) = adding {
            let result = add.await.expect("ran");
            assert!(matches!(result, Err(AddError::Disconnected)), "{fault}: {result:?}");
        }
        let (_proxy, snapshot) = bench.join().await;
        assert_eq!(snapshot.is_empty(), fault == "unsolicited" || fault == "no hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_answer_ends_the_connection_and_fails_who_waits() {
    let bench = Bench::new();
    let (proxy, _) = bench.join().await;
    bench.connected(1).await;
    let (first, second) = (bench.add("a"), bench.add("b"));
    let (proxy, said) = hear(proxy).await;
    assert!(matches!(said, Said::Add { .. }));
    assert_eq!(hear(proxy).await.1, Said::Closed, "after 5 s");
    for add in [first, second] {
        assert!(matches!(add.await.expect("ran"), Err(AddError::Disconnected)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_fifty_pods_at_once() {
    let bench = Bench::new();
    let (proxy, _) = bench.join().await;
    bench.connected(1).await;
    let adds: Vec<_> = (0..250).map(|n| bench.add(&format!("pod-{n}"))).collect();
    let serving = spawn_blocking(move || {
        for _ in 0..250 {
            assert!(matches!(proxy.hear(), Said::Add { .. }));
            proxy.ack("");
        }
        proxy
    });
    for add in adds {
        add.await.expect("ran").expect("acked");
    }
    drop(serving.await.expect("served"));
    let (_proxy, snapshot) = bench.join().await;
    assert_eq!(snapshot.len(), 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_proxies_are_connected_and_the_oldest_gives_way() {
    let bench = Bench::new();
    let mut proxies = Vec::new();
    for n in 1..=MAX_SESSIONS {
        proxies.push(bench.join().await.0);
        bench.connected(n).await;
    }
    proxies.push(bench.join().await.0);
    assert_eq!(hear(proxies.remove(0)).await.1, Said::Closed);
    bench.connected(MAX_SESSIONS).await;
    let del = bench.del("a");
    for proxy in proxies {
        let (proxy, said) = hear(proxy).await;
        assert_eq!(said, Said::Del("a".into()), "the others go on");
        proxy.ack("");
    }
    del.await.expect("ran");
}
