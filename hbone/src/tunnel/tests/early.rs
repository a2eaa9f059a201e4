//! A server that answers before it has heard everything, and leaves.

use tokio::net::TcpStream;

use super::*;
use crate::relay::{self, Ended, Meter};

struct Nothing;

impl Meter for Nothing {
    fn forward(&self, _n: u64) {}
    fn back(&self, _n: u64) {}
}

#[tokio::test]
async fn a_server_that_answers_early_and_leaves_is_heard_to_its_end() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let app = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
    let near = listener.accept().await.expect("accept").0;
    let (tunnel, mut server) = bed.open().await;
    let relay = tokio::spawn(relay::tunnel(near, tunnel, &Nothing, std::future::pending()));

    let (mut read, write) = app.into_split();
    let flood = tokio::spawn(relay::tests::flood(write));
    soon(server.read_u8()).await.expect("read");
    soon(server.write_all(&vec![7; 300_000])).await.expect("write");
    server.shutdown().await.expect("shutdown");
    drop(server);

    let mut answer = Vec::new();
    soon(read.read_to_end(&mut answer)).await.expect("no reset before the end");
    assert_eq!(answer.len(), 300_000);
    assert!(soon(flood).await.expect("joined").is_err(), "it learns that nobody listens");
    assert_eq!(soon(relay).await.expect("joined").expect("no error"), Ended::Unwanted);
}

#[tokio::test]
async fn a_writer_learns_that_its_bytes_are_not_wanted() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let (client, mut server) = bed.open().await;
    server.shutdown().await.expect("shutdown");
    drop(server);
    let (_reader, mut writer) = client.into_split();
    let told = soon(writer.reset_by_peer()).await;
    assert!(matches!(told, StreamError::Unwanted), "{told}");
    let refused = soon(writer.write(Bytes::from_static(b"x"))).await.expect_err("closed");
    assert!(matches!(refused, StreamError::Unwanted), "{refused}");
    assert!(matches!(writer.finish(), Err(StreamError::Unwanted)));
}

#[tokio::test]
async fn two_tunnels_are_joined_with_half_closes_and_resets() {
    let mut bed = Bed::new(TunnelConfig::default()).await;
    let ((mut client, near), (far, mut server)) = (bed.open().await, bed.open().await);
    let relay = tokio::spawn(relay::tunnels(near, far, &Nothing, std::future::pending()));
    client.write_all(b"question").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut question = String::new();
    soon(server.read_to_string(&mut question)).await.expect("read");
    let write = async {
        server.write_all(&vec![7; 3_000_000]).await.expect("write");
        server.shutdown().await.expect("shutdown");
    };
    let mut answer = Vec::new();
    let ((), read) = soon(async { tokio::join!(write, client.read_to_end(&mut answer)) }).await;
    read.expect("read");
    assert_eq!((question.as_str(), answer.len()), ("question", 3_000_000));
    assert_eq!(soon(relay).await.expect("joined").expect("no error"), Ended::Finished);

    let ((mut client, near), (far, server)) = (bed.open().await, bed.open().await);
    let relay = tokio::spawn(relay::tunnels(near, far, &Nothing, std::future::pending()));
    drop(server);
    let error = soon(client.read_u8()).await.expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(soon(relay).await.expect("joined").expect_err("failed").is_ordinary());
}

#[tokio::test]
async fn what_was_read_can_be_given_back_and_costs_no_window() {
    let config = TunnelConfig { stream_window: 65_535, ..TunnelConfig::default() };
    let mut bed = Bed::new(config).await;
    let (mut client, mut server) = bed.open().await;
    let sent = vec![7; 1_000_000];
    let write = async {
        client.write_all(&sent).await.expect("write");
        client.shutdown().await.expect("shutdown");
    };
    let read = async {
        let mut begin = vec![0; 40_000];
        server.read_exact(&mut begin).await.expect("read");
        server.unread(begin.into());
        let (mut reader, _writer) = server.into_split();
        let mut received = 0;
        while let Some(chunk) = reader.chunk().await {
            let n = chunk.expect("no reset").len();
            received += n;
            reader.release(n);
        }
        received
    };
    let ((), received) = soon(async { tokio::join!(write, read) }).await;
    assert_eq!(received, sent.len());
}
