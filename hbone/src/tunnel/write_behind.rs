//! Small writes gathered above TLS.
//!
//! h2 flushes after every DATA frame that it does not copy, and each flush costs a TLS record
//! and a system call. A busy connection is woken for one tunnel after another; here the frames
//! of all tunnels that are ready leave together.
//!
//! A flush that follows another one closely is put off until the connection's task has its
//! next [turn](Turns): the tunnels that wait for a thread write before that. A quiet
//! connection flushes at once, so that a single request loses no time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are gathered: one TLS record.
const GATHERED: usize = 16 * 1024;
/// Larger writes go through: their system call is worth it.
const SMALL: usize = 4 * 1024;
/// Most bytes that TLS encrypts before they are written: what one read of a socket brings.
pub(super) const LARGEST_WRITE: usize = 256 * 1024;
/// A flush this soon after another shows a busy connection.
const SOON: Duration = Duration::from_micros(50);

/// Counts the turns of the task that drives a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicU32>);

impl Turns {
    /// Polls the connection, each time as a new turn. Cancel safe if `poll` is.
    pub(super) async fn of<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        poll_fn(|cx| {
            self.0.fetch_add(1, Ordering::Relaxed);
            poll(cx)
        })
        .await
    }

    /// The present one; 0 before the first, during handshakes.
    fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that is written in larger pieces and read as it is.
#[derive(Debug)]
pub(super) struct WriteBehind<S> {
    inner: S,
    buffer: BytesMut,
    turns: Turns,
    /// The turn in which a flush was put off.
    put_off: Option<u32>,
    flushed: Instant,
}

impl<S> WriteBehind<S> {
    /// Gathers what is written to `inner`, once `turns` are counted.
    pub(super) fn new(inner: S, turns: Turns) -> Self {
        Self { inner, buffer: BytesMut::new(), turns, put_off: None, flushed: Instant::now() }
    }

    /// Whether to leave a flush to the next turn.
    fn puts_off(&mut self) -> bool {
        let turn = self.turns.now();
        if turn == 0 || self.buffer.is_empty() {
            return false;
        }
        match self.put_off {
            Some(since) => since == turn,
            None => self.flushed.elapsed() < SOON,
        }
    }

    fn fits(&self, length: usize) -> bool {
        length <= SMALL && self.buffer.len() + length <= GATHERED
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(SMALL);
        }
        self.buffer.extend_from_slice(bytes);
    }
}

impl<S: AsyncWrite + Unpin> WriteBehind<S> {
    /// Hands on everything gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.buffer))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(n);
        }
        // An idle connection holds no buffer.
        self.buffer = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteBehind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.fits(bytes.len()) {
            ready!(self.poll_drain(cx))?;
        }
        if !self.fits(bytes.len()) {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        self.gather(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !self.fits(length) {
            ready!(self.poll_drain(cx))?;
        }
        if !self.fits(length) {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        }
        for slice in slices {
            self.gather(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.puts_off() {
            if self.put_off.is_none() {
                self.put_off = Some(self.turns.now());
                // Behind the tasks that are ready now.
                cx.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(()));
        }
        let gathered = !self.buffer.is_empty();
        ready!(self.poll_drain(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if gathered {
            self.put_off = None;
            self.flushed = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteBehind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

#[cfg(test)]
mod tests;
