use super::*;

#[test]
fn a_message_is_as_long_as_its_head_says() {
    for (case, bytes, want) in [
        ("nothing yet", "", Some(None)),
        ("half a head", "POST / HTTP/1.1\r\nhost: a\r\n", Some(None)),
        ("a body to come", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Some(Some(43))),
        ("a body in part", "HTTP/1.1 200 OK\r\ncontent-length:1\r\n\r\nab", Some(Some(38))),
        ("no length", "HTTP/1.1 200 OK\r\n\r\n", None),
        ("a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", None),
        ("too much", "HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n", None),
    ] {
        assert_eq!(length(bytes.as_bytes()).ok(), want, "{case}");
    }
    assert!(length(&[b'a'; MAX_HEAD]).is_err(), "no end");
}

#[tokio::test]
async fn an_answer_that_is_no_success_fails_the_load() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        receive(&mut stream, &mut request).await.expect("a request");
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal).await.expect("it is sent");
    });
    let failed = run(&Target { to, connections: 1, millis: 10 }).await.expect_err("it is 503");
    assert!(failed.to_string().contains("HTTP/1.1 503 Service Unavailable"), "{failed}");
}
