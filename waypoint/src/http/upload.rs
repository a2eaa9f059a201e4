//! A request's body on its way to the application: counted, free of what only a head may say,
//! and taken away at once when nothing more may reach the application.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::{Body, BoxError};
use super::headers;
use crate::account::{Place, Share};
use crate::standing::Standing;
use crate::upstream::sending;

/// A handle to the body of a request that is on its way.
#[derive(Clone)]
pub struct Upload(Arc<Mutex<State>>);

struct State {
    /// None when it has ended or was taken away.
    body: Option<Body>,
    /// Bytes of the client, for the record.
    sent: Arc<AtomicU64>,
    /// May more of it pass? An answer may end long before its request does.
    standing: Option<Standing>,
    /// Fields that only a verified token may say.
    reserved: Option<Arc<[HeaderName]>>,
    /// The client broke it off.
    broke: bool,
    /// What counts the request where it is sent; given back when the body has ended.
    share: Option<Arc<Share<u64>>>,
    place: Option<Arc<Place>>,
    /// Who waits for its next frame.
    reader: Option<Waker>,
    severed: bool,
    /// The task that sends it, if it has one of its own.
    sender: Option<Waker>,
}

impl Upload {
    /// Takes charge of `body`; the other value is what is sent. Bytes are counted in `sent`.
    pub fn new(body: Body, sent: Arc<AtomicU64>, standing: Option<Standing>) -> (Self, Body) {
        let state = State {
            body: Some(body),
            sent,
            standing,
            reserved: None,
            broke: false,
            share: None,
            place: None,
            reader: None,
            severed: false,
            sender: None,
        };
        let upload = Self(Arc::new(Mutex::new(state)));
        let guarded = Guarded(upload.clone()).boxed_unsync();
        (upload, guarded)
    }

    /// Its trailers say nothing of these.
    pub fn reserve(&self, names: Arc<[HeaderName]>) {
        self.lock().reserved = Some(names);
    }

    /// Nothing more of it is sent, whoever has it now.
    pub fn sever(&self) {
        let mut state = self.lock();
        state.severed = true;
        let body = state.body.take();
        let waiting = [state.reader.take(), state.sender.take()];
        // What they do when they are dropped or woken may come back here.
        drop(state);
        drop(body);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Ready when it was severed; wakes the task that sends it.
    pub(crate) fn poll_severed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.severed {
            return Poll::Ready(());
        }
        if !state.sender.as_ref().is_some_and(|sender| sender.will_wake(cx.waker())) {
            state.sender = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Keeps a source's share of an endpoint until the body has ended.
    pub fn hold_share(&self, share: Arc<Share<u64>>) {
        let before = self.lock().share.replace(share);
        drop(before);
    }

    /// Keeps a place on a connection until the body has ended.
    pub fn hold_place(&self, place: Arc<Place>) {
        let before = self.lock().place.replace(place);
        drop(before);
    }

    /// Whether the client broke it off.
    pub fn broke(&self) -> bool {
        self.lock().broke
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body as the connection to the application sees it.
struct Guarded(Upload);

impl State {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(Err(revoked)) = self.standing.as_mut().map(Standing::check) {
            self.body = None;
            return Poll::Ready(Some(Err(revoked.into())));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(Some(Err("the request was cut".into())));
        };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.sent
                    .fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
                Some(Ok(cleaned(frame, self.reserved.as_deref().unwrap_or_default())))
            }
            Some(Err(error)) => {
                self.broke = true;
                Some(Err(error))
            }
            None => None,
        })
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.0.lock();
        let on_shared_connection = state.place.is_some();
        let frame = state.poll_frame(cx);
        drop(state);
        if on_shared_connection {
            sending::asked(self.0.clone());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.as_ref().is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// The connection has no more use for it: what was held is given back.
impl Drop for Guarded {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let held = (state.body.take(), state.share.take(), state.place.take());
        drop(state);
        drop(held);
    }
}

/// Some applications read trailers like headers, so what only a proxy, or only a head, may say
/// is said by no trailer (RFC 9110 section 6.5.1).
fn cleaned(frame: Frame<Bytes>, reserved: &[HeaderName]) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            clean(&mut trailers);
            for name in reserved {
                trailers.remove(name);
            }
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

fn clean(trailers: &mut HeaderMap) {
    headers::strip_hop_by_hop(trailers);
    headers::strip_identity(trailers);
    for name in [http::header::HOST, http::header::CONTENT_LENGTH] {
        while trailers.remove(&name).is_some() {}
    }
}

#[cfg(test)]
mod tests;
