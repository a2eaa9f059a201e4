use std::sync::Mutex;

use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::jwks::fetch::tests::{fetcher, key_set, ok};
use crate::state::StateDir;

/// An issuer that answers as it is told, and counts how often it was asked.
struct Issuer {
    port: u16,
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<usize>>,
}

impl Issuer {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (answer, asked) = (Arc::new(Mutex::new(answer.to_owned())), Arc::default());
        let this = Self { port, answer, asked };
        let (answer, asked) = (this.answer.clone(), this.asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *asked.lock().expect("unpoisoned") += 1;
                let text = answer.lock().expect("unpoisoned").clone();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        this
    }

    fn url(&self) -> KeySetUrl {
        KeySetUrl::new(&format!("http://127.0.0.1:{}/keys", self.port)).expect("an URL")
    }

    fn answers(&self, text: &str) {
        text.clone_into(&mut self.answer.lock().expect("unpoisoned"));
    }
}

struct Bench {
    wanted: watch::Sender<Wanted>,
    told: mpsc::Receiver<Told>,
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Bench {
    fn start(local: &[&str]) -> Self {
        Self::again(local, tempfile::tempdir().expect("a folder"))
    }

    fn again(local: &[&str], folder: tempfile::TempDir) -> Self {
        let kept = Kept::new(StateDir::open(folder.path()).expect("a state directory"));
        let mut registry = Registry::default();
        let metrics = JwksMetrics::register(&mut registry);
        let (sender, told) = mpsc::channel(16);
        let (wanted, receiver) = watch::channel(Wanted::new());
        tokio::spawn(Keeper::new(fetcher(local), kept, metrics, sender).run(receiver));
        Self { wanted, told, registry, folder }
    }

    fn want(&self, urls: &[KeySetUrl]) {
        let all = urls.iter().map(|url| (url.clone(), Duration::from_secs(1)));
        self.wanted.send_replace(all.collect());
    }

    /// The next word: the ids of the keys, and the trouble.
    async fn hears(&mut self) -> (String, Option<String>) {
        let (_, fetched) = tokio::time::timeout(Duration::from_mins(1), self.told.recv())
            .await
            .expect("in time")
            .expect("a word");
        let ids = fetched.keys.map_or_else(
            || "none".to_owned(),
            |set| set.keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>().join(","),
        );
        (ids, fetched.trouble)
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        text
    }
}

#[tokio::test]
async fn a_failing_issuer_leaves_its_last_good_keys_and_is_asked_again() {
    let issuer = Issuer::start("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let mut bench = Bench::start(&["127.0.0.1"]);
    bench.want(&[issuer.url()]);
    let (keys, trouble) = bench.hears().await;
    assert_eq!(keys, "none");
    assert!(trouble.is_some_and(|why| why.contains("the server answers 503")));
    issuer.answers(&ok(&key_set("one")));
    assert_eq!(bench.hears().await, ("one".to_owned(), None), "a second later");
    for want in [
        "ambit_jwks_fetches_total{host=\"127.0.0.1\",result=\"status\"} 1",
        "ambit_jwks_fetches_total{host=\"127.0.0.1\",result=\"ok\"} 1",
        "ambit_jwks_sets 1",
        "ambit_jwks_sets_missing 0",
    ] {
        assert!(bench.metrics().contains(want), "{want}: {}", bench.metrics());
    }
    // A control plane that starts anew, with the issuer away, has them still.
    issuer.answers("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
    let Bench { folder, wanted, told, .. } = bench;
    drop((wanted, told));
    let mut again = Bench::again(&["127.0.0.1"], folder);
    again.want(&[issuer.url()]);
    assert_eq!(again.hears().await, ("one".to_owned(), None), "at once");
    let (keys, trouble) = again.hears().await;
    assert_eq!(keys, "one", "and still");
    assert!(trouble.is_some_and(|why| why.contains("500")));
}

#[tokio::test]
async fn what_nobody_wants_is_not_fetched_and_what_may_not_be_dialled_says_so() {
    let issuer = Issuer::start(&ok(&key_set("one"))).await;
    let mut bench = Bench::start(&[]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(*issuer.asked.lock().expect("unpoisoned"), 0);
    bench.want(&[issuer.url()]);
    let (keys, trouble) = bench.hears().await;
    assert_eq!(keys, "none");
    assert!(trouble.is_some_and(|why| why.contains("127.0.0.1 is this machine's own")));
    assert_eq!(*issuer.asked.lock().expect("unpoisoned"), 0, "never dialled");
}

#[test]
fn keys_are_fetched_again_after_twenty_minutes_and_failures_sooner() {
    let pauses: Vec<u64> = (0..10).map(|failures| pause(failures).as_secs()).collect();
    assert_eq!(pauses, [1200, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(pause(u32::MAX), MOST_PATIENT);
}

#[tokio::test]
async fn so_many_key_sets_are_fetched_and_no_more() {
    let mut bench = Bench::start(&[]);
    let url = |n: usize| KeySetUrl::new(&format!("http://127.0.0.1:1/{n}")).expect("an URL");
    let urls: Vec<KeySetUrl> = (0..=MAX_KEY_SETS).map(url).collect();
    bench.want(&urls);
    let mut words = BTreeMap::new();
    while words.len() < urls.len() {
        let heard = tokio::time::timeout(Duration::from_mins(1), bench.told.recv()).await;
        let (url, fetched) = heard.expect("in time").expect("a word");
        words.insert(url, fetched.trouble.unwrap_or_default());
    }
    let refused = words.values().filter(|why| why.contains("MAX_KEY_SETS (1000)")).count();
    assert_eq!(refused, 1);
    assert!(bench.metrics().contains("ambit_jwks_sets_refused 1"), "{}", bench.metrics());
}

#[tokio::test]
async fn so_many_fetches_run_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let url = |n: usize| KeySetUrl::new(&format!("http://127.0.0.1:{port}/{n}")).expect("an URL");
    let bench = Bench::start(&["127.0.0.1"]);
    bench.want(&(0..20).map(url).collect::<Vec<_>>());
    let mut open = Vec::new();
    let silent = Duration::from_millis(300);
    while let Ok(accepted) = tokio::time::timeout(silent, listener.accept()).await {
        open.push(accepted.expect("a connection"));
    }
    assert_eq!(open.len(), MAX_FETCHES);
}
