//! Is it HTTP? Read from the first bytes where the port does not say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hbone::wire::workload::AppProtocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::directory::{Directory, Target};
use crate::http::serve::PREFACE;

/// How long a client may be silent before it is taken for one whose server speaks first, on a
/// port whose protocol is not declared.
pub const SILENCE: Duration = Duration::from_millis(500);
/// Bytes that decide.
const ENOUGH: usize = 24;
/// Longest method that is taken for HTTP.
const MAX_METHOD: usize = 20;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// HTTP/1.x.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Something else.
    Bytes,
}

/// What the port of `target` declares.
pub fn declared(target: &Target, directory: &Directory) -> AppProtocol {
    match target {
        Target::Service { service, address } => service
            .ports
            .iter()
            .find(|p| p.service == address.port())
            .map(|p| p.app)
            .unwrap_or_default(),
        Target::Workload { services, address, .. } => services
            .iter()
            .filter_map(|key| directory.service(key))
            .flat_map(|service| service.ports.iter())
            .find(|port| port.target == address.port() && port.app != AppProtocol::Unknown)
            .map(|port| port.app)
            .unwrap_or_default(),
    }
}

/// Reads as much of `stream` as tells what it carries; the bytes are given back.
pub async fn detect(
    stream: &mut (impl AsyncRead + Unpin),
    declared: AppProtocol,
) -> io::Result<(Carries, BytesMut)> {
    let mut read = BytesMut::with_capacity(ENOUGH);
    match declared {
        AppProtocol::Tcp | AppProtocol::Tls => return Ok((Carries::Bytes, read)),
        AppProtocol::Unknown | AppProtocol::Http11 | AppProtocol::Http2 | AppProtocol::Grpc => {}
    }
    let is_http = declared != AppProtocol::Unknown;
    loop {
        if let Some(carries) = judge(&read, is_http) {
            return Ok((carries, read));
        }
        let reading = stream.read_buf(&mut read);
        let n = if is_http {
            reading.await?
        } else {
            match tokio::time::timeout(SILENCE, reading).await {
                Ok(n) => n?,
                Err(_) => return Ok((Carries::Bytes, read)),
            }
        };
        if n == 0 {
            let carries = if is_http { Carries::Http1 } else { Carries::Bytes };
            return Ok((carries, read));
        }
    }
}

/// What `bytes` begin; none if more are needed.
fn judge(bytes: &[u8], is_http: bool) -> Option<Carries> {
    if bytes.is_empty() {
        return None;
    }
    let seen = bytes.len().min(PREFACE.len());
    if bytes.get(..seen) == PREFACE.get(..seen) {
        return (seen == PREFACE.len()).then_some(Carries::Http2);
    }
    if is_http {
        return Some(Carries::Http1);
    }
    let method = bytes.iter().position(|b| !b.is_ascii_uppercase());
    match method {
        Some(end) if (3..=MAX_METHOD).contains(&end) && bytes.get(end) == Some(&b' ') => {
            Some(Carries::Http1)
        }
        None if bytes.len() < MAX_METHOD => None,
        Some(_) | None => Some(Carries::Bytes),
    }
}

/// A stream of which the beginning was read already.
pub struct Rewound<S> {
    first: BytesMut,
    inner: S,
}

impl<S> Rewound<S> {
    /// `first`, then what `inner` still has.
    pub fn new(first: BytesMut, inner: S) -> Self {
        Self { first, inner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, out);
        }
        let n = self.first.len().min(out.remaining());
        out.put_slice(self.first.get(..n).unwrap_or_default());
        self.first.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
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

#[cfg(test)]
mod tests;
