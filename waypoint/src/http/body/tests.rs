use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

/// What an observer was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn say(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Observer for Told {
    fn data(&mut self, frame: &Bytes) {
        self.say(format!("{} bytes", frame.len()));
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.say(format!("{} trailers", trailers.len()));
    }

    fn end(&mut self) {
        self.say("end".to_owned());
    }

    fn cut(&mut self, why: Cut) {
        self.say(why.to_string());
    }
}

type Frames = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

/// A body that a test feeds.
fn fed() -> (Frames, Body) {
    let (send, frames) = mpsc::channel(8);
    (send, StreamBody::new(ReceiverStream::new(frames)).boxed_unsync())
}

#[tokio::test]
async fn an_observer_is_told_of_all_that_passes() {
    let told = Told::default();
    let (send, body) = fed();
    let mut body = Observed::new(body, told.clone(), None, None);
    send.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await.expect("open");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    send.send(Ok(Frame::trailers(trailers))).await.expect("open");
    drop(send);
    while body.frame().await.is_some() {}
    assert_eq!(told.all(), ["5 bytes", "1 trailers", "end"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_has_no_end_and_says_why() {
    let told = Told::default();
    let (send, body) = fed();
    let mut body = Observed::new(body, told.clone(), None, None);
    send.send(Err("reset".into())).await.expect("open");
    let error = body.frame().await.expect("a frame").expect_err("it breaks");
    assert_eq!(error.to_string(), "reset");
    assert!(!body.is_end_stream(), "what comes after is no end either");
    drop(body);
    assert_eq!(told.all(), ["reset"]);
}

#[tokio::test]
async fn no_body_ends_at_once_and_once() {
    let told = Told::default();
    let mut body = Observed::new(empty(), told.clone(), None, None);
    assert_eq!(told.all(), ["end"]);
    assert!(body.frame().await.is_none());
    assert_eq!(told.all(), ["end"]);
    let told = Told::default();
    let mut body = Observed::new(full("text"), told.clone(), None, None);
    assert!(!http_body::Body::is_end_stream(&body));
    while body.frame().await.is_some() {}
    assert_eq!(told.all(), ["4 bytes", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_late_breaks_at_its_deadline() {
    let told = Told::default();
    let (send, body) = fed();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    let mut body = Observed::new(body, told.clone(), Some(deadline), None);
    send.send(Ok(Frame::data(Bytes::from_static(b"early")))).await.expect("open");
    assert!(body.frame().await.expect("a frame").is_ok());
    let error = body.frame().await.expect("a frame").expect_err("late");
    assert_eq!(error.to_string(), "the deadline of the request has passed");
    assert_eq!(tokio::time::Instant::now(), deadline);
    assert_eq!(told.all(), ["5 bytes", "the deadline of the request has passed"]);
    assert!(send.is_closed(), "what feeds it is let go of");
}

#[tokio::test]
async fn what_was_read_before_comes_before_the_rest() {
    let frames = ["he", "llo"].map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    let body = prefixed(frames.into(), full(" world"), None);
    let hint = body.size_hint();
    assert_eq!((hint.lower(), hint.upper()), (11, Some(11)), "the length is still known");
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "hello world");
    let nothing = prefixed(vec![Frame::data(Bytes::from_static(b"all"))], empty(), None);
    assert!(!http_body::Body::is_end_stream(&nothing));
    assert_eq!(nothing.collect().await.expect("whole").to_bytes(), "all");
}
