//! What a second parser could read differently never passes.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::chunked::Chunked;
use super::lines::{Framing, HeadError, read};
use super::{Guard, Rejection};

fn framing(head: &str) -> Result<Framing, &'static str> {
    match read(head.as_bytes(), 0) {
        Ok(Some((length, framing))) => {
            assert_eq!(length, head.len(), "{head:?}");
            Ok(framing)
        }
        Ok(None) => Err("incomplete"),
        Err(HeadError::TooLarge) => Err("too large"),
        Err(HeadError::Malformed(why)) => Err(why),
    }
}

#[test]
fn a_good_head_has_one_framing() {
    for (fields, want) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::None),
        ("content-length:5\r\n", Framing::Length(5)),
        ("Transfer-Encoding: Chunked\r\n", Framing::Chunked),
        ("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", Framing::Upgrade),
        ("Upgrade: websocket\r\n", Framing::None),
        ("x-empty:\r\n", Framing::None),
        ("x-obs: caf\u{e9}\r\n", Framing::None),
    ] {
        let head = format!("POST /a HTTP/1.1\r\nHost: shop\r\n{fields}\r\n");
        assert_eq!(framing(&head), Ok(want), "{fields:?}");
    }
}

#[test]
fn a_head_that_can_be_read_twice_is_refused() {
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx\0y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let got = framing(head);
        assert!(
            got.is_err_and(|why| why != "incomplete" && why != "too large"),
            "{head:?}: {got:?}"
        );
    }
}

#[test]
fn a_head_has_limits() {
    let many = "x-many: 1\r\n".repeat(100);
    assert_eq!(framing(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), Err("too large"));
    let long = "a".repeat(65_536);
    assert_eq!(
        framing(&format!("GET / HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n")),
        Err("too large")
    );
    assert_eq!(framing(&format!("GET /{long}")), Err("too large"), "also before it is complete");
}

#[test]
fn a_bad_line_is_found_before_the_head_is_complete() {
    assert!(matches!(read(b"GET / HTTP/1.1\nHost", 0), Err(HeadError::Malformed(_))));
    assert_eq!(read(b"GET / HTTP/1.1\r", 0), Ok(None));
    assert!(matches!(read(b"GET / HTTP/1.1\rx", 15), Err(HeadError::Malformed(_))));
    assert_eq!(read(b"GET / HTTP/1.1\r\n", 15), Ok(None));
}

#[test]
fn a_chunked_body_is_read_in_one_way() {
    for (body, want) in [
        ("0\r\n\r\n", Ok(true)),
        ("5\r\nhello\r\n0\r\n\r\n", Ok(true)),
        ("A\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n", Ok(true)),
        ("5\r\nhel", Ok(false)),
        ("5", Ok(false)),
        ("5\r\nhello\r\n0\r\n", Ok(false)),
        ("5;ext=1\r\nhello\r\n0\r\n\r\n", Err(())),
        ("5 \r\nhello\r\n0\r\n\r\n", Err(())),
        ("0x5\r\nhello\r\n0\r\n\r\n", Err(())),
        ("+5\r\nhello\r\n0\r\n\r\n", Err(())),
        ("\r\n", Err(())),
        ("5\nhello\r\n0\r\n\r\n", Err(())),
        ("5\r\nhelloX\r\n0\r\n\r\n", Err(())),
        ("5\r\nhello\n0\r\n\r\n", Err(())),
        ("ffffffffffffffffffff\r\n", Err(())),
        ("0\r\ncontent-length: 5\r\n\r\n", Err(())),
        ("0\r\nx: 1\n\r\n", Err(())),
        ("0\r\n folded\r\n\r\n", Err(())),
    ] {
        let mut whole = Chunked::default();
        let got = whole.advance(body.as_bytes());
        assert_eq!(got.map(|(_, done)| done).map_err(|_| ()), want, "{body:?}");
        assert_eq!(byte_by_byte(body), want, "{body:?} byte by byte");
    }
}

#[test]
fn trailers_have_a_limit() {
    let trailers = |n| format!("0\r\n{}\r\n", "x: 1\r\n".repeat(n));
    let read = |n| Chunked::default().advance(trailers(n).as_bytes()).map(|(_, done)| done);
    assert!(matches!(read(1000), Ok(true)));
    assert!(read(2100).is_err(), "more than 8 KiB");
    let endless = format!("0\r\nx: {}", "y".repeat(8 * 1024));
    assert!(Chunked::default().advance(endless.as_bytes()).is_err(), "also without a line's end");
}

/// The same however the bytes arrive.
fn byte_by_byte(body: &str) -> Result<bool, ()> {
    let mut chunked = Chunked::default();
    let mut pending = Vec::new();
    for byte in body.bytes() {
        pending.push(byte);
        let (n, done) = chunked.advance(&pending).map_err(|_| ())?;
        pending.drain(..n);
        if done {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn a_refused_head_is_replaced_and_nothing_after_it_is_read() {
    let (mut client, server) = duplex(4096);
    let (mut guard, signals) = Guard::new(server, BytesMut::new());
    let good = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    client.write_all(good).await.expect("room");
    client.write_all(b"GET /smuggled HTTP/1.1\nHost: a\n\n").await.expect("room");
    drop(client);

    let mut seen = vec![0; good.len()];
    guard.read_exact(&mut seen).await.expect("the good request");
    assert_eq!(seen, good);
    assert_eq!(signals.rejection(), None);

    let mut seen = vec![0; super::REFUSED_HEAD.len()];
    guard.read_exact(&mut seen).await.expect("the replacement");
    assert_eq!(seen, super::REFUSED_HEAD);
    assert!(matches!(signals.rejection(), Some(Rejection::Malformed(_))));
    let more = std::future::poll_fn(|cx| {
        let mut out = [0; 16];
        let mut out = tokio::io::ReadBuf::new(&mut out);
        std::task::Poll::Ready(
            tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut guard), cx, &mut out)
                .is_pending(),
        )
    });
    assert!(more.await, "nothing follows");
}

#[tokio::test]
async fn bytes_after_an_upgrade_wait_for_its_answer() {
    for (granted, want) in [(true, &b"opaque\nbytes"[..]), (false, &b""[..])] {
        let (mut client, server) = duplex(4096);
        let (mut guard, signals) = Guard::new(server, BytesMut::new());
        let head =
            b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        client.write_all(head).await.expect("room");
        client.write_all(b"opaque\nbytes").await.expect("room");
        let mut seen = vec![0; head.len()];
        guard.read_exact(&mut seen).await.expect("the head");
        assert_eq!(signals.rejection(), None);
        signals.upgraded(granted);
        let mut seen = vec![0; want.len()];
        guard.read_exact(&mut seen).await.expect("what follows");
        assert_eq!(seen, want);
        if !granted {
            let mut replaced = vec![0; super::REFUSED_HEAD.len()];
            guard.read_exact(&mut replaced).await.expect("the refusal");
            assert_eq!(
                signals.rejection(),
                Some(Rejection::Malformed("a line ends with a bare LF"))
            );
        }
    }
}

#[tokio::test]
async fn the_answer_to_an_earlier_request_decides_on_no_upgrade() {
    let (mut client, server) = duplex(4096);
    let (mut guard, signals) = Guard::new(server, BytesMut::new());
    let first = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let second =
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(&[&first[..], &second[..]].concat()).await.expect("room");
    // The parser reads ahead of the service.
    let mut seen = vec![0; first.len() + second.len()];
    guard.read_exact(&mut seen).await.expect("both heads");
    assert_eq!(signals.rejection(), None);
    signals.upgraded(false);
    client.write_all(b"opaque\nbytes").await.expect("room");
    let early = tokio::time::timeout(Duration::from_millis(50), guard.read_u8()).await;
    assert!(early.is_err(), "they wait for the answer to their own request: {early:?}");
    assert_eq!(signals.rejection(), None);
    signals.upgraded(true);
    let mut seen = vec![0; 12];
    guard.read_exact(&mut seen).await.expect("what follows");
    assert_eq!(seen, b"opaque\nbytes");
}

#[tokio::test]
async fn a_client_that_leaves_before_its_upgrade_is_decided_is_noticed() {
    let (mut client, server) = duplex(64 * 1024);
    let (mut guard, _signals) = Guard::new(server, BytesMut::new());
    let head =
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(head).await.expect("room");
    client.write_all(b"some").await.expect("room");
    let mut seen = vec![0; head.len()];
    guard.read_exact(&mut seen).await.expect("the head");
    drop(client);
    let mut more = [0; 1];
    let end = tokio::time::timeout(Duration::from_secs(5), guard.read(&mut more)).await;
    assert_eq!(end.expect("noticed").expect("an end"), 0, "and nothing was let through");
}

#[tokio::test]
async fn little_is_kept_while_an_upgrade_is_undecided() {
    let (mut client, server) = duplex(1024);
    let (mut guard, _signals) = Guard::new(server, BytesMut::new());
    let head =
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(head).await.expect("room");
    let mut seen = vec![0; head.len()];
    guard.read_exact(&mut seen).await.expect("the head");
    let flood = tokio::spawn(async move { client.write_all(&vec![0; 1 << 20]).await });
    let waited = tokio::time::timeout(Duration::from_millis(200), guard.read_u8()).await;
    assert!(waited.is_err() && !flood.is_finished());
    assert!(guard.buffer.len() < 2 * super::READ_SIZE, "{} bytes", guard.buffer.len());
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_refused_at_its_deadline() {
    let (mut client, server) = duplex(4096);
    let (mut guard, signals) = Guard::new(server, BytesMut::new());
    client.write_all(b"GET / HT").await.expect("room");
    let mut seen = vec![0; super::REFUSED_HEAD.len()];
    guard.read_exact(&mut seen).await.expect("the replacement");
    assert_eq!(signals.rejection(), Some(Rejection::Late));
}
