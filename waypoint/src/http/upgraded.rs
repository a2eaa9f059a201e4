//! Bytes both ways on a connection that HTTP was left for.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::record::Record;
use crate::standing::Standing;

/// Joins both ends until each has finished, one fails, or a policy turns against it; then the
/// record is written, with the bytes that were passed on.
pub async fn relay(
    client: Upgraded,
    application: Upgraded,
    mut standing: Standing,
    mut record: Record,
) {
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let outcome = {
        let mut client = Metered { inner: TokioIo::new(client), written: &received };
        let mut application = Metered { inner: TokioIo::new(application), written: &sent };
        tokio::select! {
            biased;
            revoked = standing.revoked() => Err(revoked),
            copied = tokio::io::copy_bidirectional(&mut client, &mut application) => Ok(copied),
        }
    };
    record.sent().fetch_add(sent.into_inner(), Ordering::Relaxed);
    record.received(received.into_inner());
    match outcome {
        Err(revoked) => record.failed(&revoked.into()),
        Ok(Ok(_)) => record.complete(),
        // Whose fault it is does not show.
        Ok(Err(error)) => tracing::debug!(%error, "upgraded connection broke"),
    }
}

/// Counts what is written.
struct Metered<'a, S> {
    inner: S,
    written: &'a AtomicU64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.written.fetch_add(n as u64, Ordering::Relaxed);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
