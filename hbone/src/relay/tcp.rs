//! A TCP socket as an end of a relay.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_util::io::poll_read_buf;

use super::RelayError;
use super::pump::{Sink, Source};

/// First read of a connection, in bytes: most messages are small, and most connections idle.
const SMALLEST_READ: usize = 4 * 1024;
/// Largest read: beyond it a bulk transfer gains nothing.
const LARGEST_READ: usize = 256 * 1024;

/// Reads with a buffer that follows the volume, and holds none while the socket is idle.
pub(super) struct TcpSource<'a> {
    half: ReadHalf<'a>,
    buffer: BytesMut,
    size: usize,
}

impl<'a> TcpSource<'a> {
    pub(super) fn new(half: ReadHalf<'a>) -> Self {
        Self { half, buffer: BytesMut::new(), size: SMALLEST_READ }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.half.as_ref().poll_read_ready(cx)?.is_pending() {
            self.buffer = BytesMut::new();
            return Poll::Pending;
        }
        self.buffer.reserve(self.size);
        let n = ready!(poll_read_buf(Pin::new(&mut self.half), cx, &mut self.buffer))?;
        self.adapt(n);
        let chunk = self.buffer.split().freeze();
        Poll::Ready(Ok(Some(chunk).filter(|c| !c.is_empty())))
    }

    fn adapt(&mut self, n: usize) {
        if n >= self.size {
            self.size = (self.size * 2).min(LARGEST_READ);
        } else if n < self.size / 4 {
            self.size = (self.size / 2).max(SMALLEST_READ);
        }
    }
}

impl Source for TcpSource<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, RelayError> {
        let next = std::future::poll_fn(|cx| self.poll_next(cx)).await;
        next.map_err(RelayError::Application)
    }

    fn consumed(&mut self, _n: usize) {}

    const LINGER: Duration = Duration::from_secs(5);
}

/// Writes to a socket.
pub(super) struct TcpSink<'a>(pub(super) WriteHalf<'a>);

impl Sink for TcpSink<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), RelayError> {
        self.0.write_all(&bytes).await.map_err(RelayError::Application)
    }

    async fn finish(&mut self) -> Result<(), RelayError> {
        match self.0.shutdown().await {
            // It has closed already; that it got everything, its FIN or RST has told before.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result.map_err(RelayError::Application),
        }
    }

    async fn broken(&mut self) -> RelayError {
        // epoll tells of an RST as an error on the socket.
        let socket: &TcpStream = self.0.as_ref();
        loop {
            match socket.ready(tokio::io::Interest::ERROR).await {
                Ok(_) => match socket.take_error() {
                    Ok(Some(error)) | Err(error) => return RelayError::Application(error),
                    // An error queue entry that is none of ours.
                    Ok(None) => std::future::pending::<()>().await,
                },
                Err(error) => return RelayError::Application(error),
            }
        }
    }
}

/// Makes closing the socket send RST and not FIN, so that the application learns that its
/// connection was cut.
pub(super) fn reset_on_close(socket: &TcpStream) {
    // It can only fail on a socket that is no more.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
