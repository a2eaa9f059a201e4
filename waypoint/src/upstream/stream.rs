//! What a connection to an endpoint is made of.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hbone::tunnel::Tunnel;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An open stream to an endpoint.
#[derive(Debug)]
pub enum Stream {
    /// Through its node's proxy.
    Tunnel(Tunnel),
    /// Straight to a workload outside the mesh.
    Plain(TcpStream),
}

trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Stream {
    fn inner(&mut self) -> Pin<&mut dyn Io> {
        match self {
            Self::Tunnel(tunnel) => Pin::new(tunnel),
            Self::Plain(socket) => Pin::new(socket),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
