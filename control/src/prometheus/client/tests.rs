//! A server that answers as it should not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SPAN: Span = Span { from_ms: 0, to_ms: 120_000, step_ms: 60_000 };
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that gives one answer to everybody, and what the last one asked.
async fn server(answer: Vec<u8>) -> (Endpoint, tokio::sync::watch::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, last) = tokio::sync::watch::channel(String::new());
    tokio::spawn(async move {
        loop {
            let Ok((mut tcp, _)) = listener.accept().await else { return };
            let mut request = vec![0; 64 << 10];
            let mut length = 0;
            // The body of a question is one line that ends with its timeout.
            while !request[..length].ends_with(b"timeout=5s") {
                match tcp.read(&mut request[length..]).await {
                    Ok(n) if n > 0 => length += n,
                    _ => break,
                }
            }
            asked.send_replace(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = tcp.write_all(&answer).await;
        }
    });
    (Endpoint::parse(&format!("http://{address}/prefix")).expect("an endpoint"), last)
}

async fn ask(answer: impl Into<Vec<u8>>) -> Result<Bytes, PrometheusError> {
    let (endpoint, _asked) = server(answer.into()).await;
    Client::new(endpoint, None).range("up", SPAN, PATIENCE).await
}

fn reply(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_question_goes_where_the_operator_said_with_its_token() {
    let (endpoint, asked) = server(reply("200 OK", "{}").into_bytes()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "secret-1\n").expect("written");
    let client = Client::new(endpoint, Some(token.clone()));
    assert_eq!(client.range("a{b=\"c&d\"}", SPAN, PATIENCE).await.expect("an answer"), "{}");
    let first = asked.borrow().clone();
    assert!(first.starts_with("POST /prefix/api/v1/query_range HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("authorization: Bearer secret-1\r\n"), "{first}");
    assert!(
        first.contains("query=a%7Bb%3D%22c%26d%22%7D&start=60.000&end=120.000&step=60.000&"),
        "{first}"
    );
    // It is renewed by something else.
    std::fs::write(&token, "secret-2").expect("written");
    client.range("up", SPAN, PATIENCE).await.expect("an answer");
    assert!(asked.borrow().contains("Bearer secret-2"));
    std::fs::write(&token, "a\nb").expect("written");
    let error = client.range("up", SPAN, PATIENCE).await.expect_err("no token");
    assert!(matches!(error, PrometheusError::Token(_)), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let error = ask(moved).await.expect_err("not followed");
    assert_eq!(error, PrometheusError::Redirect(StatusCode::TEMPORARY_REDIRECT));
}

#[tokio::test]
async fn what_it_says_of_an_error_is_told() {
    let error = r#"{"status":"error","errorType":"bad_data","error":"too many points"}"#;
    let error = ask(reply("400 Bad Request", error)).await.expect_err("an error");
    assert_eq!(error.to_string(), "it answers 400 Bad Request: too many points");
    let error = ask(reply("502 Bad Gateway", &"x".repeat(10_000))).await.expect_err("an error");
    assert!(error.to_string().len() < 400, "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_PROMETHEUS_ANSWER + 1);
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + MAX_PROMETHEUS_ANSWER + 1, b' ');
    assert_eq!(ask(answer).await.expect_err("too long"), PrometheusError::TooLong);
}

#[tokio::test]
async fn one_that_breaks_off_or_is_not_there_is_named() {
    let error = ask("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.expect_err("half");
    assert!(matches!(error, PrometheusError::Http(_)), "{error}");
    let nobody = Endpoint::parse("http://127.0.0.1:1").expect("an endpoint");
    let error = Client::new(nobody, None).range("up", SPAN, PATIENCE).await.expect_err("nobody");
    assert!(error.to_string().starts_with("127.0.0.1:1 cannot be reached"), "{error}");
}

#[tokio::test]
async fn so_many_questions_are_under_way_and_the_next_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let endpoint = Endpoint::parse(&format!("http://{address}")).expect("an endpoint");
    let client = Arc::new(Client::new(endpoint, None));
    let mut open = Vec::new();
    let mut asking = Vec::new();
    for _ in 0..=MAX_PROMETHEUS_QUERIES {
        let client = Arc::clone(&client);
        asking.push(tokio::spawn(async move { client.range("up", SPAN, PATIENCE).await }));
    }
    for _ in 0..MAX_PROMETHEUS_QUERIES {
        open.push(listener.accept().await.expect("a question").0);
    }
    let next = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(next.is_err(), "it waits");
    drop(open.pop());
    let next = tokio::time::timeout(PATIENCE, listener.accept()).await;
    assert!(next.is_ok(), "its turn comes");
    asking.iter().for_each(tokio::task::JoinHandle::abort);
}
