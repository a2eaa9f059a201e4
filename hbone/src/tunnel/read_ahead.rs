//! Large reads below TLS.
//!
//! rustls asks for 4 KiB at a time, four system calls for each full record. Here one call
//! fetches what the kernel has, up to [`LARGEST`], and the copy out of a warm buffer is
//! far cheaper than the calls it saves. An idle connection holds no buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// First read of a connection, in bytes: many messages are small.
const SMALLEST: usize = 8 * 1024;
/// Largest read: eight TLS records.
const LARGEST: usize = 128 * 1024;

/// A stream that is read in large pieces and written as it is.
#[derive(Debug)]
pub struct ReadAhead<S> {
    inner: S,
    /// Read from `inner` and not handed out yet.
    buffer: BytesMut,
    size: usize,
}

impl<S> ReadAhead<S> {
    /// Reads `inner` ahead.
    pub(super) fn new(inner: S) -> Self {
        Self { inner, buffer: BytesMut::new(), size: SMALLEST }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    /// Fills the empty buffer; it stays empty at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buffer.reserve(self.size);
        let polled = poll_read_buf(Pin::new(&mut self.inner), cx, &mut self.buffer);
        let n = match polled {
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => {
                self.buffer = BytesMut::new();
                return Poll::Pending;
            }
        };
        if n >= self.size {
            self.size = (self.size * 2).min(LARGEST);
        } else if n < self.size / 4 {
            self.size = (self.size / 2).max(SMALLEST);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.buffer.is_empty() {
            ready!(this.poll_fill(cx))?;
        }
        let n = this.buffer.len().min(out.remaining());
        out.put_slice(this.buffer.get(..n).unwrap_or_default());
        this.buffer.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
