//! An open tunnel: bytes both ways with flow control and half-close.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Reservation;

/// Why a tunnel ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer reset the stream: its application is gone or has cut the connection.
    #[error("the peer reset the tunnel ({0})")]
    Reset(String),
    /// The peer has sent all it has to say and takes no more (RFC 9113, section 8.1): our
    /// direction is over, its own is whole.
    #[error("the peer takes no more bytes")]
    Unwanted,
    /// The connection below is broken.
    #[error("the connection that carried the tunnel broke: {0}")]
    Connection(String),
}

impl StreamError {
    fn from_h2(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::from_reset(reason),
            _ => Self::Connection(error.to_string()),
        }
    }

    /// What cut off the bytes that a peer sent: whatever it says, it had not finished. A reset
    /// that follows its `END_STREAM` does not come here.
    fn before_end(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::Reset(reason.to_string()),
            _ => Self::Connection(error.to_string()),
        }
    }

    fn from_reset(reason: Reason) -> Self {
        if reason == Reason::NO_ERROR { Self::Unwanted } else { Self::Reset(reason.to_string()) }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        io::Error::new(io::ErrorKind::ConnectionReset, error)
    }
}

/// A tunnel that the other side has accepted.
///
/// Dropping it without [`TunnelWriter::finish`] resets the stream, not the connection.
#[derive(Debug)]
pub struct Tunnel {
    reader: TunnelReader,
    writer: TunnelWriter,
}

/// Keeps a pooled connection's place for as long as one half lives.
type Place = Option<Arc<Reservation>>;

/// What comes from the peer.
#[derive(Debug)]
pub struct TunnelReader {
    recv: RecvStream,
    /// Bytes that [`AsyncRead`] took off the stream and has not handed out yet.
    rest: Bytes,
    /// Of what is handed out next, bytes that were released before.
    released: usize,
    _place: Place,
}

/// What goes to the peer.
#[derive(Debug)]
pub struct TunnelWriter {
    send: SendStream<Bytes>,
    finished: bool,
    _place: Place,
}

impl Tunnel {
    pub(super) fn new(send: SendStream<Bytes>, recv: RecvStream, place: Place) -> Self {
        let reader = TunnelReader { recv, rest: Bytes::new(), released: 0, _place: place.clone() };
        let writer = TunnelWriter { send, finished: false, _place: place };
        Self { reader, writer }
    }

    /// Gives back what was read through [`AsyncRead`]; it is the next to be read again.
    pub fn unread(&mut self, bytes: Bytes) {
        let reader = &mut self.reader;
        reader.released += bytes.len();
        let whole = reader.rest.is_empty();
        reader.rest = if whole { bytes } else { [&bytes[..], &reader.rest].concat().into() };
    }

    /// Both directions, to be used apart.
    pub fn into_split(self) -> (TunnelReader, TunnelWriter) {
        (self.reader, self.writer)
    }
}

impl TunnelReader {
    /// The next bytes; `None` when the peer has finished. They count against the window
    /// until [`release`](Self::release).
    ///
    /// Cancel safe.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, StreamError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if self.rest.has_remaining() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        match ready!(self.recv.poll_data(cx)) {
            Some(Ok(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(Err(e)) => Poll::Ready(Some(Err(StreamError::before_end(&e)))),
            None => Poll::Ready(None),
        }
    }

    /// Tells the peer that `n` bytes of what came are used up, so that it may send as many.
    pub fn release(&mut self, n: usize) {
        let before = self.released.min(n);
        self.released -= before;
        let n = n - before;
        // It fails only for more than was received, or on a closed stream: no matter then.
        let _ = self.recv.flow_control().release_capacity(n);
    }
}

impl TunnelWriter {
    /// Sends all of `bytes`, waiting for the peer's window; never an empty DATA frame.
    ///
    /// Not cancel safe: a part may have been sent.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let room = std::future::poll_fn(|cx| self.poll_room(cx, bytes.len())).await?;
            let part = bytes.split_to(room.min(bytes.len()));
            self.send(part, false)?;
        }
        Ok(())
    }

    /// Room in the peer's window, at most `want`. Asked for only with bytes in hand: an idle
    /// tunnel must not hold a part of the connection window.
    fn poll_room(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<Result<usize, StreamError>> {
        self.send.reserve_capacity(want);
        loop {
            let room = self.send.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(e)) => return Poll::Ready(Err(StreamError::from_h2(&e))),
                None => return Poll::Ready(Err(self.closed(cx))),
            }
        }
    }

    /// The stream takes no more; says why if the peer did.
    fn closed(&mut self, cx: &mut Context<'_>) -> StreamError {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => StreamError::from_reset(reason),
            Poll::Ready(Err(e)) => StreamError::from_h2(&e),
            Poll::Pending => StreamError::Connection("the stream is closed".to_owned()),
        }
    }

    fn send(&mut self, bytes: Bytes, end: bool) -> Result<(), StreamError> {
        // A stream that the peer closed meanwhile is a misuse to h2, which then names no reason.
        self.send.send_data(bytes, end).map_err(|e| match e.reason() {
            None if !e.is_io() => self.closed(&mut Context::from_waker(Waker::noop())),
            _ => StreamError::from_h2(&e),
        })
    }

    /// Ends our direction in order; the other one goes on.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        if self.finished {
            return Ok(());
        }
        self.finished = true;
        self.send(Bytes::new(), true)
    }

    /// Ends both directions at once: the application's connection broke or was closed by us.
    pub fn reset(&mut self) {
        self.finished = true;
        self.send.send_reset(Reason::CANCEL);
    }

    /// Completes when the peer resets the stream or the connection breaks.
    ///
    /// Cancel safe.
    pub async fn reset_by_peer(&mut self) -> StreamError {
        std::future::poll_fn(|cx| match ready!(self.send.poll_reset(cx)) {
            Ok(reason) => Poll::Ready(StreamError::from_reset(reason)),
            Err(e) => Poll::Ready(StreamError::from_h2(&e)),
        })
        .await
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reader = &mut self.reader;
        let mut bytes = match ready!(reader.poll_chunk(cx)) {
            Some(chunk) => chunk?,
            None => return Poll::Ready(Ok(())),
        };
        let n = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes.split_to(n));
        reader.rest = bytes;
        reader.release(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let writer = &mut self.writer;
        let room = ready!(writer.poll_room(cx, buf.len()))?.min(buf.len());
        let part = Bytes::copy_from_slice(buf.get(..room).unwrap_or_default());
        writer.send(part, false)?;
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.writer.finish().map_err(Into::into))
    }
}
