//! Looks at HTTP/1.1 bytes before the parser does, and lets through only messages that no
//! other parser could delimit differently (RFC 9112 sections 2.2, 5.2, 6.3 and 7.1).
//!
//! A message that fails is never delivered. In the place of its head the parser gets a
//! harmless one, so that the refusal takes the ordinary way of an answer, after the answers
//! to the requests before it, and is recorded; [`Signals::rejection`] tells which request it
//! is. Nothing after it is read.
//!
//! ```text
//! Head --good--> Length | Chunked | Held (upgrade asked)   --end of body--> Head
//!   \--bad--> Rejected                     Held --101--> Opaque, --other--> Head
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use chunked::Chunked;
use lines::{Framing, HeadError};
pub use signals::{Rejection, Signals};

mod chunked;
mod lines;
mod signals;

#[cfg(test)]
mod tests;

/// From the first byte of a head to its last.
pub const HEAD_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
/// Read from the stream at a time while a head is awaited, in bytes.
const READ_SIZE: usize = 8 * 1024;
/// Delivered in the place of a head that is refused.
const REFUSED_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// A stream whose reading side is guarded.
pub struct Guard<S> {
    inner: S,
    signals: Arc<Signals>,
    phase: Phase,
    /// Read and not yet delivered.
    buffer: BytesMut,
    /// Of it, how many bytes may be delivered.
    ready: usize,
    /// Of it, how many bytes of an incomplete head were searched.
    searched: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Phase {
    Head,
    Length(u64),
    Chunked(Chunked),
    Held,
    Opaque,
    Rejected,
    Broken,
}

impl<S> Guard<S> {
    /// Guards `inner`, of which `first` was read already.
    pub fn new(inner: S, first: BytesMut) -> (Self, Arc<Signals>) {
        let signals = Arc::new(Signals::default());
        let guard = Self {
            inner,
            signals: Arc::clone(&signals),
            phase: Phase::Head,
            buffer: first,
            ready: 0,
            searched: 0,
            deadline: None,
        };
        (guard, signals)
    }

    /// Moves on with what is in the buffer; `false` if more bytes are needed.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.phase {
            Phase::Head => self.advance_head(),
            Phase::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= n as u64;
                if *left == 0 {
                    self.phase = Phase::Head;
                }
                self.ready = n;
                n > 0
            }
            Phase::Chunked(chunked) => match chunked.advance(&self.buffer) {
                Ok((n, done)) => {
                    if done {
                        self.phase = Phase::Head;
                    }
                    self.ready = n;
                    n > 0
                }
                Err(_) => {
                    self.phase = Phase::Broken;
                    true
                }
            },
            Phase::Held => match self.signals.poll_upgraded(cx) {
                Poll::Ready(true) => {
                    self.phase = Phase::Opaque;
                    true
                }
                Poll::Ready(false) => {
                    self.phase = Phase::Head;
                    true
                }
                Poll::Pending => false,
            },
            Phase::Opaque => {
                self.ready = self.buffer.len();
                self.ready > 0
            }
            Phase::Rejected | Phase::Broken => false,
        }
    }

    fn advance_head(&mut self) -> bool {
        if self.searched == 0 {
            while self.buffer.starts_with(b"\r\n") {
                self.buffer.advance(2);
            }
        }
        match lines::read(&self.buffer, self.searched) {
            Ok(Some((length, framing))) => {
                self.ready = length;
                self.searched = 0;
                self.deadline = None;
                self.signals.delivered();
                self.phase = match framing {
                    Framing::None => Phase::Head,
                    Framing::Length(length) => Phase::Length(length),
                    Framing::Chunked => Phase::Chunked(Chunked::default()),
                    Framing::Upgrade => {
                        self.signals.hold();
                        Phase::Held
                    }
                };
                true
            }
            Ok(None) => {
                self.searched = self.buffer.len();
                false
            }
            Err(HeadError::TooLarge) => self.reject(Rejection::TooLarge),
            Err(HeadError::Malformed(why)) => self.reject(Rejection::Malformed(why)),
        }
    }

    fn reject(&mut self, why: Rejection) -> bool {
        self.signals.reject(why);
        self.phase = Phase::Rejected;
        self.deadline = None;
        self.buffer = BytesMut::from(REFUSED_HEAD);
        self.ready = self.buffer.len();
        true
    }

    /// Whether a head that has begun is late.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.phase, Phase::Head) || self.buffer.is_empty() {
            return Poll::Pending;
        }
        let deadline = self.deadline.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + HEAD_DEADLINE))
        });
        deadline.as_mut().poll(cx)
    }
}

use std::future::Future as _;

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.ready > 0 {
                let n = this.ready.min(out.remaining());
                out.put_slice(this.buffer.get(..n).unwrap_or_default());
                this.buffer.advance(n);
                this.ready -= n;
                return Poll::Ready(Ok(()));
            }
            if this.advance(cx) {
                continue;
            }
            match &mut this.phase {
                // The answer to the refused request closes the connection.
                Phase::Rejected => return Poll::Pending,
                // Looked at only so far as to see a client go.
                Phase::Held if this.buffer.len() >= READ_SIZE => return Poll::Pending,
                Phase::Broken => {
                    let kind = io::ErrorKind::InvalidData;
                    return Poll::Ready(Err(io::Error::new(kind, "the chunked body is malformed")));
                }
                Phase::Opaque => return Pin::new(&mut this.inner).poll_read(cx, out),
                Phase::Length(left) => {
                    let want = usize::try_from(*left).unwrap_or(usize::MAX).min(out.remaining());
                    let mut part = ReadBuf::new(out.initialize_unfilled_to(want));
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
                    let n = part.filled().len();
                    out.advance(n);
                    *left -= n as u64;
                    if *left == 0 {
                        this.phase = Phase::Head;
                    }
                    return Poll::Ready(Ok(()));
                }
                Phase::Head | Phase::Chunked(_) | Phase::Held => {}
            }
            if this.poll_deadline(cx).is_ready() {
                this.reject(Rejection::Late);
                continue;
            }
            let mut space = [0; READ_SIZE];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.buffer.extend_from_slice(read.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
