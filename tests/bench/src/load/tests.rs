use super::*;

/// A server on a port of its own, as long as the runtime lives.
fn server() -> SocketAddr {
    let listener = serve::listen(0).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(serve::serve(listener, serve::answer));
    ([127, 0, 0, 1], port).into()
}

fn target(to: SocketAddr, connections: usize) -> Target {
    Target { to, connections, millis: 50 }
}

#[tokio::test]
async fn a_bulk_load_counts_what_the_server_has_got() {
    let seen = bulk::run(&target(server(), 3)).await.expect("it runs");
    assert!(seen.bytes > 0 && seen.bytes.is_multiple_of(256 * 1024), "{seen:?}");
    assert!(seen.seconds >= 0.05, "{seen:?}");
}

#[tokio::test]
async fn requests_are_answered_on_every_connection() {
    let seen = exchange::run(&target(server(), 4)).await.expect("it runs");
    assert!(seen.requests >= 4 && seen.p50_us > 0.0 && seen.p99_us >= seen.p50_us, "{seen:?}");
}

#[tokio::test]
async fn http_requests_are_answered_on_every_connection() {
    let seen = http::run(&target(server(), 4)).await.expect("it runs");
    assert!(seen.requests >= 4 && seen.p50_us > 0.0 && seen.p99_us >= seen.p50_us, "{seen:?}");
}

#[tokio::test]
async fn connections_come_and_go() {
    let seen = connect::run(&target(server(), 2)).await.expect("it runs");
    assert!(seen.requests >= 2, "{seen:?}");
}

#[tokio::test]
async fn a_relay_passes_load_on() {
    let next = server();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    let port = port.expect("a port").port();
    let relayed = tokio::spawn(relay::run(port, next));
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let up = testbed::eventually("the relay listens", Duration::from_secs(5), async || {
        TcpStream::connect(to).await.is_ok()
    });
    up.await.expect("it listens");
    let seen = exchange::run(&target(to, 1)).await.expect("it runs");
    assert!(seen.requests > 0, "{seen:?}");
    relayed.abort();
}

#[test]
fn percentiles_are_of_the_sorted_latencies() {
    let seen = Seen::of_latencies(2.0, (1..=200).rev().map(|us| us * 1000).collect());
    let text = format!("{} {} {}", seen.requests, seen.p50_us, seen.p99_us);
    assert_eq!(text, "200 100 198");
    assert_eq!(Seen::of_latencies(1.0, Vec::new()).requests, 0);
}

#[test]
fn a_header_says_what_follows() {
    for purpose in [Purpose::Bulk, Purpose::Exchange(1024), Purpose::Http, Purpose::Connect] {
        assert_eq!(Purpose::parse(purpose.header()).expect("ours"), purpose);
    }
    for wrong in [*b"X\0\0\0\x01", *b"E\0\0\0\0", *b"E\xff\xff\xff\xff"] {
        assert!(Purpose::parse(wrong).is_err(), "{wrong:?}");
    }
}
