use hbone::wire::workload::AppProtocol;
use tokio::io::AsyncWriteExt;

use super::{Carries, detect, judge};
use crate::http::serve::PREFACE;

#[test]
fn the_first_bytes_tell() {
    for (bytes, want) in [
        (&b""[..], None),
        (b"G", None),
        (b"GET", None),
        (b"GET /", Some(Carries::Http1)),
        (b"PROPFIND / HTTP/1.1", Some(Carries::Http1)),
        (b"PRI", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", None),
        (PREFACE, Some(Carries::Http2)),
        (b"PRINT /", Some(Carries::Http1)),
        (b"\x16\x03\x01", Some(Carries::Bytes)),
        (b"get /", Some(Carries::Bytes)),
        (b"GE /", Some(Carries::Bytes)),
        (b"AAAAAAAAAAAAAAAAAAAAAAAA", Some(Carries::Bytes)),
    ] {
        assert_eq!(judge(bytes, false), want, "{bytes:?}");
    }
    assert_eq!(
        judge(b"\x16", true),
        Some(Carries::Http1),
        "a declared port is HTTP whatever comes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_waits_for_its_server() {
    let (mut client, mut server) = tokio::io::duplex(64);
    let found = detect(&mut server, AppProtocol::Unknown).await.expect("open");
    assert_eq!(found.0, Carries::Bytes);
    client.write_all(b"GET / HTTP/1.1\r\n").await.expect("room");
    let (carries, read) = detect(&mut server, AppProtocol::Unknown).await.expect("open");
    assert_eq!((carries, read.starts_with(b"GET /")), (Carries::Http1, true));
    let found = detect(&mut server, AppProtocol::Tcp).await.expect("open");
    assert_eq!((found.0, found.1.len()), (Carries::Bytes, 0));
}
