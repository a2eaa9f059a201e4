//! Bodies that stream past.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Sleep;

use crate::authorize::Revoked;
use crate::standing::Standing;

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What is told of a body as it streams past; dropped before the end it was cut.
pub trait Observer: Send + Unpin + 'static {
    /// `n` bytes of data passed.
    fn data(&mut self, frame: &Bytes);
    /// The trailers passed.
    fn trailers(&mut self, trailers: &http::HeaderMap);
    /// It ended in order.
    fn end(&mut self);
    /// A policy cuts it.
    fn revoked(&mut self, revoked: Revoked);
}

/// A body with an observer, a deadline after which it breaks, and policies that may cut it.
///
/// A client that does not read keeps its stream until it does, and then gets the cut.
pub struct Observed<O> {
    inner: Body,
    observer: O,
    deadline: Option<Pin<Box<Sleep>>>,
    standing: Option<Standing>,
    ended: bool,
}

impl<O: Observer> Observed<O> {
    /// Puts `observer` beside `inner`.
    pub fn new(
        inner: Body,
        observer: O,
        deadline: Option<tokio::time::Instant>,
        standing: Option<Standing>,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        let mut body = Self { inner, observer, deadline, standing, ended: false };
        if body.inner.is_end_stream() {
            body.end();
        }
        body
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.standing = None;
            self.observer.end();
        }
    }

    fn cut(&mut self, revoked: Revoked) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.standing = None;
        self.observer.revoked(revoked.clone());
        Poll::Ready(Some(Err(revoked.into())))
    }
}

impl<O: Observer> http_body::Body for Observed<O> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err("the deadline of the request has passed".into())));
        }
        if let Some(Err(revoked)) = self.standing.as_mut().map(Standing::check) {
            return self.cut(revoked);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return match self.standing.as_mut().map(|standing| standing.poll_revoked(cx)) {
                Some(Poll::Ready(revoked)) => self.cut(revoked),
                Some(Poll::Pending) | None => Poll::Pending,
            };
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.observer.data(data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    self.observer.trailers(trailers);
                }
                if self.inner.is_end_stream() {
                    self.end();
                }
            }
            Some(Err(_)) => {}
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// `frames`, then what is left of `rest`.
pub fn prefixed(frames: Vec<Frame<Bytes>>, rest: Body) -> Body {
    if frames.is_empty() {
        return rest;
    }
    Prefixed { frames: frames.into(), rest }.boxed_unsync()
}

struct Prefixed {
    frames: std::collections::VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 =
            self.frames.iter().filter_map(|f| f.data_ref()).map(|d| d.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

#[cfg(test)]
mod tests;
