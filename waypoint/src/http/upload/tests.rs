use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;
use std::time::Duration;

use http::HeaderValue;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::account::Shares;

type Frames = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

/// A body that a test feeds, on its way.
fn fed() -> (Frames, Upload, Body, Arc<AtomicU64>) {
    let (send, frames) = mpsc::channel(8);
    let body = StreamBody::new(ReceiverStream::new(frames)).map_err(|never| match never {});
    let sent: Arc<AtomicU64> = Arc::default();
    let (upload, body) = Upload::new(body.boxed_unsync(), sent.clone(), None);
    (send, upload, body, sent)
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn bytes_are_counted_once() {
    let (send, _upload, body, sent) = fed();
    send.send(Ok(data("hello"))).await.expect("open");
    send.send(Ok(data(" world"))).await.expect("open");
    drop(send);
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "hello world");
    assert_eq!(sent.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn what_waits_for_more_hears_that_it_is_severed() {
    let (send, upload, mut body, _) = fed();
    send.send(Ok(data("hello"))).await.expect("open");
    assert!(body.frame().await.expect("a frame").is_ok());
    let reading = tokio::spawn(async move { body.frame().await });
    tokio::task::yield_now().await;
    upload.sever();
    let frame = timeout(Duration::from_secs(5), reading).await.expect("woken").expect("no panic");
    let error = frame.expect("no end").expect_err("no frame");
    assert_eq!(error.to_string(), "the request was cut");
    assert!(send.is_closed(), "and the client's side is let go of");
}

#[tokio::test]
async fn trailers_say_nothing_that_only_a_head_or_a_proxy_may_say() {
    let (send, upload, body, _) = fed();
    upload.reserve([HeaderName::from_static("x-team")].into());
    let mut trailers = HeaderMap::new();
    for name in [
        "x-checksum",
        "x-team",
        "x-forwarded-client-cert",
        "x-envoy-original-path",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
    ] {
        trailers.append(name, HeaderValue::from_static("1"));
    }
    send.send(Ok(Frame::trailers(trailers))).await.expect("open");
    drop(send);
    let whole = body.collect().await.expect("whole");
    let names: Vec<_> =
        whole.trailers().expect("trailers").keys().map(ToString::to_string).collect();
    assert_eq!(names, ["x-checksum"]);
}

#[tokio::test]
async fn its_places_come_back_when_nobody_sends_it_any_longer() {
    let (_send, upload, body, _) = fed();
    let shares = Shares::new(1);
    upload.hold_share(Arc::new(shares.take(7).expect("free")));
    let counter: Arc<AtomicUsize> = Arc::default();
    upload.hold_place(Arc::new(Place::take(&counter, 1).expect("free")));
    // Severed it sends nothing, but whoever has it may be stuck, and counts.
    upload.sever();
    assert!(shares.take(7).is_none() && Place::take(&counter, 1).is_none());
    drop(body);
    assert!(shares.take(7).is_some() && Place::take(&counter, 1).is_some());
}

#[test]
fn a_body_that_its_client_breaks_off_is_known() {
    let frames = tokio_stream::iter([Err::<Frame<Bytes>, BoxError>("reset".into())]);
    let (upload, mut body) =
        Upload::new(StreamBody::new(frames).boxed_unsync(), Arc::default(), None);
    assert!(!upload.broke());
    let mut cx = Context::from_waker(Waker::noop());
    let frame = Pin::new(&mut body).poll_frame(&mut cx);
    assert!(matches!(frame, Poll::Ready(Some(Err(_)))));
    assert!(upload.broke());
}
