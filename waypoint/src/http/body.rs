//! Bodies that stream past.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Sleep;

use crate::account::Place;
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

/// What is told of a body as it streams past.
pub trait Observer: Send + Unpin + 'static {
    /// `n` bytes of data passed.
    fn data(&mut self, frame: &Bytes);
    /// The trailers passed.
    fn trailers(&mut self, trailers: &http::HeaderMap);
    /// It ended in order.
    fn end(&mut self);
    /// It broke off, and not because of its reader.
    fn cut(&mut self, why: Cut);
}

/// Why a body broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// A policy turned against it.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// It took too long.
    #[error("the deadline of the request has passed")]
    Late,
    /// Whoever sends it broke it off.
    #[error("{0}")]
    Broken(String),
}

/// A body with an observer, a deadline after which it breaks, and policies that may cut it.
///
/// It is asked when its reader takes more; for one that does not, see
/// [`Leash`](super::leash::Leash).
pub struct Observed<O: Observer> {
    inner: Body,
    observer: O,
    deadline: Option<Pin<Box<Sleep>>>,
    standing: Option<Standing>,
    ended: bool,
    cut: bool,
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
        let mut body = Self { inner, observer, deadline, standing, ended: false, cut: false };
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

    fn cut(&mut self, why: Cut) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        (self.standing, self.cut) = (None, true);
        if !std::mem::replace(&mut self.ended, true) {
            self.observer.cut(why.clone());
        }
        // What feeds it is let go of at once.
        self.inner = empty();
        self.deadline = None;
        Poll::Ready(Some(Err(why.into())))
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
            return self.cut(Cut::Late);
        }
        if let Some(Err(revoked)) = self.standing.as_mut().map(Standing::check) {
            return self.cut(revoked.into());
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
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
            Some(Err(error)) => {
                let why = Cut::Broken(error.to_string());
                return self.cut(why);
            }
            None => self.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// `frames`, then what is left of `rest`. `room` is that of the frames, given up with the last.
pub fn prefixed(frames: Vec<Frame<Bytes>>, rest: Body, room: Option<[Place; 2]>) -> Body {
    if frames.is_empty() {
        return rest;
    }
    Prefixed { frames: frames.into(), rest, room }.boxed_unsync()
}

struct Prefixed {
    frames: std::collections::VecDeque<Frame<Bytes>>,
    rest: Body,
    room: Option<[Place; 2]>,
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
            None => {
                self.room = None;
                Pin::new(&mut self.rest).poll_frame(cx)
            }
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
