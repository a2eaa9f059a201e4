use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::telemetry::log::{Levels, LineWriter, LogFormat, Logging};

const PATIENCE: Duration = Duration::from_secs(10);

async fn start(pages: impl Pages) -> SocketAddr {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(loopback, Arc::new(pages)).await.expect("bound");
    let address = server.local_addr().expect("address");
    tokio::spawn(server.run(CancellationToken::new()));
    address
}

/// Sends `head` as it stands and returns all that comes back.
async fn exchange(address: SocketAddr, head: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.expect("connected");
    tcp.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, tcp.read_to_string(&mut answer)).await;
    read.expect("in time").expect("read");
    answer
}

async fn ask(address: SocketAddr, method: &str, path: &str, more: &str) -> (u16, String, String) {
    let head = format!("{method} {path} HTTP/1.1\r\n{more}connection: close\r\n\r\n");
    let answer = exchange(address, &head).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

const LOCAL: &str = "host: localhost:15000\r\n";

#[tokio::test]
async fn readiness_names_what_is_pending() {
    let readiness = Readiness::new();
    let mut state = readiness.task("state manager");
    let mut proxy = readiness.task("proxy");
    let address = start(ReadinessPage(readiness.clone())).await;
    let get = || ask(address, "GET", "/healthz/ready", LOCAL);
    let (status, _, body) = get().await;
    assert_eq!((status, body.as_str()), (500, "not ready, pending: proxy, state manager\n"));
    state.set_ready(true);
    proxy.set_ready(true);
    proxy.set_ready(true);
    let (status, _, body) = get().await;
    assert_eq!((status, body.as_str()), (200, "ready\n"));
    proxy.set_ready(false);
    drop(proxy);
    assert_eq!(get().await.2, "not ready, pending: proxy\n", "a task that died is not ready");
    assert_eq!(ask(address, "POST", "/healthz/ready", LOCAL).await.0, 405);
    assert_eq!(ask(address, "GET", "/", LOCAL).await.0, 404);
}

#[tokio::test]
async fn metrics_have_the_content_type_that_was_asked_for() {
    let mut registry = Registry::default();
    registry.register("things", "Things", Counter::<u64>::default());
    let address = start(MetricsPage(Arc::new(registry))).await;
    let open = "accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n";
    for (path, accept, want) in [
        ("/metrics", "", "text/plain; charset=utf-8"),
        ("/stats/prometheus", "", "text/plain; charset=utf-8"),
        ("/metrics", open, "application/openmetrics-text;charset=utf-8;version=1.0.0"),
    ] {
        let (status, head, body) = ask(address, "GET", path, &format!("{LOCAL}{accept}")).await;
        assert_eq!(status, 200);
        assert!(head.contains(&format!("content-type: {want}\r\n")), "{head}");
        assert!(body.contains("things_total 0\n") && body.ends_with("# EOF\n"), "{body}");
    }
    assert_eq!(ask(address, "GET", "/other", LOCAL).await.0, 404);
    assert_eq!(ask(address, "POST", "/metrics", LOCAL).await.0, 405);
}

fn admin(quit: &CancellationToken) -> AdminPages {
    let levels = Levels::info();
    let output = LineWriter::to(io::sink());
    let (logging, _subscriber) = Logging::build(LogFormat::Plain, levels, output);
    AdminPages::new("ztunnel", quit.clone())
        .dump(|| serde_json::json!({"workloads": []}))
        .logging(logging)
}

#[tokio::test]
async fn administration_answers_by_path_and_method() {
    let address = start(admin(&CancellationToken::new())).await;
    for (method, path, status, part) in [
        ("GET", "/", 200, "config_dump"),
        ("GET", "/config_dump", 200, "\"workloads\": []"),
        ("POST", "/config_dump", 405, ""),
        ("GET", "/quitquitquit", 405, ""),
        ("GET", "/logging", 405, ""),
        ("POST", "/logging", 200, "current log level is info\n"),
        ("POST", "/logging?level=debug", 200, "is debug\n"),
        ("POST", "/logging?level=access=off,xds=trace", 200, "is debug,access=off,xds=trace\n"),
        ("POST", "/logging?level=access:off", 400, "access:off"),
        ("POST", "/logging?level=access", 400, ""),
        ("POST", "/logging?loud", 400, ""),
        ("POST", "/logging?reset&level=access=off", 200, "is info,access=off\n"),
        ("POST", "/logging?reset", 200, "is info\n"),
        ("GET", "/stats", 404, ""),
    ] {
        let (found, _, body) = ask(address, method, path, LOCAL).await;
        assert_eq!(found, status, "{method} {path}");
        assert!(body.contains(part), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn administration_answers_only_to_this_machine() {
    let address = start(admin(&CancellationToken::new())).await;
    for (headers, status) in [
        ("host: localhost\r\n", 200),
        ("host: 127.0.0.1:15000\r\n", 200),
        ("host: [::1]:15000\r\n", 200),
        ("host: localhost\r\norigin: http://localhost:15000\r\n", 200),
        ("host: evil.example\r\n", 403),
        ("host: 127.0.0.1.evil.example\r\n", 403),
        ("host: localhost\r\nhost: evil.example\r\n", 403),
        ("host: localhost\r\norigin: http://evil.example\r\n", 403),
        ("host: localhost\r\norigin: null\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(ask(address, "GET", "/config_dump", headers).await.0, status, "{headers:?}");
    }
}

#[tokio::test]
async fn quit_shuts_down_and_answers_after_the_drain() {
    let quit = CancellationToken::new();
    let done = CancellationToken::new();
    let (asked, drained) = (quit.clone(), done.clone());
    let address = start(admin(&quit).drained(move || drained.clone().cancelled_owned())).await;
    tokio::spawn(async move {
        asked.cancelled().await;
        done.cancel();
    });
    let (status, _, body) = ask(address, "POST", "/quitquitquit", LOCAL).await;
    assert_eq!((status, body.as_str()), (200, "shutdown now\n"));
    assert!(quit.is_cancelled());
}

#[tokio::test]
async fn an_oversized_head_and_nonsense_are_refused() {
    let address = start(ReadinessPage(Readiness::new())).await;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(MAX_HEAD * 2));
    for head in [long.as_str(), "\x16\x03\x01 nonsense\r\n\r\n"] {
        let mut tcp = TcpStream::connect(address).await.expect("connected");
        // The server may close before it has read all.
        let _ = tcp.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("ends");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn so_many_readers_are_served_at_once_and_the_next_waits() {
    let address = start(ReadinessPage(Readiness::new())).await;
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(TcpStream::connect(address).await.expect("connected"));
    }
    let mut asking = std::pin::pin!(ask(address, "GET", "/healthz/ready", LOCAL));
    let early = tokio::time::timeout(Duration::from_millis(300), asking.as_mut()).await;
    assert!(early.is_err(), "it waits: {early:?}");
    open.pop();
    assert_eq!(asking.await.0, 200);
}
