//! A peer that resets a tunnel: after the end of what it sends, or in the middle.

use h2::{Reason, SendStream};
use tokio::net::TcpStream;

use super::*;
use crate::relay::{self, Ended, Meter};

struct Nothing;

impl Meter for Nothing {
    fn forward(&self, _n: u64) {}
    fn back(&self, _n: u64) {}
}

/// What a peer of any make sends, and the tunnel that was accepted of it.
async fn accepted() -> (SendStream<Bytes>, Tunnel) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (client, server) = tokio::join!(h2::client::handshake(near), h2::server::handshake(far));
    let ((mut client, connection), mut server) = (client.expect("client"), server.expect("server"));
    tokio::spawn(connection);
    let request = http::Request::connect("10.1.0.5:80").body(()).expect("a request");
    let (_answer, send) = client.send_request(request, false).expect("sent");
    let (request, mut respond) = soon(server.accept()).await.expect("open").expect("a request");
    let ours = respond.send_response(http::Response::new(()), false).expect("answered");
    tokio::spawn(async move {
        // The connection goes on for as long as its client.
        let _client = client;
        while server.accept().await.is_some() {}
    });
    (send, Tunnel::new(ours, request.into_body(), None))
}

#[tokio::test]
async fn a_reset_before_the_end_is_never_an_end() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (mut peer, tunnel) = accepted().await;
        let (mut reader, _writer) = tunnel.into_split();
        peer.send_data(Bytes::from_static(b"half"), false).expect("sent");
        let half = soon(reader.chunk()).await.expect("no end").expect("bytes");
        assert_eq!(&half[..], b"half");
        peer.send_reset(reason);
        let end = soon(reader.chunk()).await;
        assert!(matches!(end, Some(Err(StreamError::Reset(_)))), "{reason}: {end:?}");
    }
}

#[tokio::test]
async fn a_reset_after_the_end_takes_nothing_from_it() {
    let (mut peer, tunnel) = accepted().await;
    let (mut reader, mut writer) = tunnel.into_split();
    peer.send_data(Bytes::from_static(b"whole"), true).expect("sent");
    let whole = soon(reader.chunk()).await.expect("no end").expect("bytes");
    peer.send_reset(Reason::NO_ERROR);
    let told = soon(writer.reset_by_peer()).await;
    assert!(matches!(told, StreamError::Unwanted), "{told}");
    assert_eq!((&whole[..], soon(reader.chunk()).await.is_none()), (&b"whole"[..], true));
}

#[tokio::test]
async fn an_application_never_takes_a_cut_upload_for_a_finished_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let near = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
    let mut app = listener.accept().await.expect("accept").0;
    let (mut peer, tunnel) = accepted().await;
    let relay = tokio::spawn(relay::tunnel(near, tunnel, &Nothing, std::future::pending()));
    peer.send_data(Bytes::from_static(b"h"), false).expect("sent");
    assert_eq!(soon(app.read_u8()).await.expect("read"), b'h');
    peer.send_reset(Reason::NO_ERROR);
    let error = soon(app.read_u8()).await.expect_err("no clean end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let ended = soon(relay).await.expect("joined");
    assert!(!matches!(ended, Ok(Ended::Finished)), "{ended:?}");
}
