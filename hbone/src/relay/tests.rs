use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

#[derive(Default)]
struct Count(AtomicU64, AtomicU64);

impl Meter for Count {
    fn forward(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    fn back(&self, n: u64) {
        self.1.fetch_add(n, Relaxed);
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.expect("connect"), far.expect("accept").0)
}

/// Client and server with a relay of two sockets between them.
async fn relayed(
    stop: impl Future<Output = ()> + Send + 'static,
) -> (TcpStream, TcpStream, tokio::task::JoinHandle<(Result<Ended, RelayError>, u64, u64)>) {
    let (client, near) = pair().await;
    let (far, server) = pair().await;
    let relay = tokio::spawn(async move {
        let count = Count::default();
        let ended = tcp(near, far, &count, stop).await;
        (ended, count.0.into_inner(), count.1.into_inner())
    });
    (client, server, relay)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

#[tokio::test]
async fn a_client_that_shuts_down_its_write_side_still_reads_the_answer() {
    let (mut client, mut server, relay) = relayed(std::future::pending()).await;
    client.write_all(b"question").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut question = String::new();
    soon(server.read_to_string(&mut question)).await.expect("read");
    assert_eq!(question, "question");
    server.write_all(b"long answer").await.expect("write");
    drop(server);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.expect("read");
    assert_eq!(answer, "long answer");
    let (ended, forward, back) = soon(relay).await.expect("joined");
    assert_eq!((ended.expect("no error"), forward, back), (Ended::Finished, 8, 11));
}

#[tokio::test]
async fn a_reset_on_one_side_is_a_reset_on_the_other() {
    let (mut client, server, relay) = relayed(std::future::pending()).await;
    client.write_all(b"x").await.expect("write");
    reset_on_close(&server);
    drop(server);
    let error = soon(client.read_u8()).await.expect_err("no clean end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(soon(relay).await.expect("joined").0.expect_err("failed").is_ordinary());
}

#[tokio::test]
async fn a_reset_after_the_last_byte_was_read_is_noticed_without_traffic() {
    let (client, mut server, relay) = relayed(std::future::pending()).await;
    // The server has finished; the client says nothing and then dies.
    server.shutdown().await.expect("shutdown");
    reset_on_close(&client);
    drop(client);
    let error = soon(server.read_u8()).await.expect_err("no clean end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(soon(relay).await);
}

#[tokio::test]
async fn a_stopped_relay_resets_both_sides() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (mut client, mut server, relay) = relayed(async { drop(stopped.await) }).await;
    client.write_u8(1).await.expect("write");
    soon(server.read_u8()).await.expect("read");
    drop(stop);
    assert!(
        soon(client.read_u8()).await.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
    );
    assert!(
        soon(server.read_u8()).await.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
    );
    assert_eq!(soon(relay).await.expect("joined").0.expect("no error"), Ended::Stopped);
}

#[tokio::test]
async fn many_bytes_arrive_whole_in_both_directions_at_once() {
    const LENGTH: usize = 16 << 20;
    let (client, server, relay) = relayed(std::future::pending()).await;
    let pattern = |seed: usize| (0..LENGTH).map(|i| (i * 31 + seed) as u8).collect::<Vec<_>>();
    let both = |mut stream: TcpStream, seed: usize, expect: usize| async move {
        let (mut read, mut write) = stream.split();
        let out = pattern(seed);
        let mut back = Vec::new();
        let send = async {
            write.write_all(&out).await.expect("write");
            write.shutdown().await.expect("shutdown");
        };
        let ((), read) = tokio::join!(send, read.read_to_end(&mut back));
        read.expect("read");
        assert!(back == pattern(expect), "bytes differ");
    };
    soon(async { tokio::join!(both(client, 1, 2), both(server, 2, 1)) }).await;
    let (_, forward, back) = soon(relay).await.expect("joined");
    assert_eq!((forward, back), (LENGTH as u64, LENGTH as u64));
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_question_is_heard_to_its_end() {
    let (client, mut server, relay) = relayed(std::future::pending()).await;
    let (mut read, write) = client.into_split();
    let flood = tokio::spawn(flood(write));
    soon(server.read_u8()).await.expect("read");
    server.write_all(&vec![7; 300_000]).await.expect("write");
    server.shutdown().await.expect("shutdown");
    // Wait until all has left this socket: closed with unread bytes, it drops what it holds.
    soon(async {
        while unsent(&server) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    drop(server);
    let mut answer = Vec::new();
    soon(read.read_to_end(&mut answer)).await.expect("no reset before the end");
    assert_eq!(answer.len(), 300_000);
    // The client goes on until it is told that nobody listens.
    assert!(soon(flood).await.expect("joined").is_err());
    assert_eq!(soon(relay).await.expect("joined").0.expect("no error"), Ended::Unwanted);
}

/// Writes until it fails.
pub(crate) async fn flood(mut write: impl tokio::io::AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        write.write_all(&vec![1; 64 * 1024]).await?;
    }
}

/// Bytes of `stream` that its peer has not acknowledged.
fn unsent(stream: &TcpStream) -> usize {
    let local = stream.local_addr().expect("address").port();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("table");
    let suffix = format!(":{local:04X}");
    let line = table.lines().find(|line| {
        line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&suffix))
            && line.split_whitespace().nth(3) != Some("0A")
    });
    line.and_then(|line| line.split_whitespace().nth(4)?.split_once(':'))
        .map_or(0, |(sent, _)| usize::from_str_radix(sent, 16).expect("hex"))
}

#[tokio::test]
async fn a_flood_one_way_holds_nothing_back_the_other_way() {
    use std::io::{Read, Write};
    let (client, server, _relay) = relayed(std::future::pending()).await;
    let blocking = |stream: TcpStream| {
        let stream = stream.into_std().expect("a socket");
        stream.set_nonblocking(false).expect("set");
        stream
    };
    let (client, server) = (blocking(client), blocking(server));
    // Threads of their own keep the relay busy; each fails when the test ends.
    let (mut from, mut to) =
        (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
    std::thread::spawn(move || while from.write_all(&[1; 256 * 1024]).is_ok() {});
    std::thread::spawn(move || {
        let mut sink = vec![0; 256 * 1024];
        while to.read(&mut sink).is_ok_and(|n| n > 0) {}
    });
    let (mut pings, mut heard) =
        (server.try_clone().expect("a copy"), client.try_clone().expect("a copy"));
    let exchange = tokio::task::spawn_blocking(move || {
        for _ in 0..200 {
            pings.write_all(&[7]).expect("written");
            heard.read_exact(&mut [0]).expect("heard");
        }
    });
    let done = timeout(Duration::from_secs(20), exchange).await;
    for stream in [&client, &server] {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    done.expect("in time").expect("no panic");
}
