//! One direction of a relay.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;

use super::RelayError;

/// Where bytes come from.
pub(super) trait Source {
    /// The next bytes, never none of them; `None` at the end. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, RelayError>> + Send;
    /// `n` bytes are written; the sender may send as many again.
    fn consumed(&mut self, n: usize);
}

/// Where bytes go.
pub(super) trait Sink {
    /// Writes all of `bytes`.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), RelayError>> + Send;
    /// Ends the direction in order.
    fn finish(&mut self) -> impl Future<Output = Result<(), RelayError>> + Send;
    /// Completes when the other side can take no more, as far as that shows. Cancel safe.
    fn broken(&mut self) -> impl Future<Output = RelayError> + Send;
}

/// Moves bytes until the source ends. While `watched`, somebody reads what the sink's peer
/// sends and so sees its resets; when nobody does, this looks itself.
pub(super) async fn pump(
    source: &mut impl Source,
    sink: &mut impl Sink,
    watched: &AtomicBool,
    count: impl Fn(u64),
) -> Result<(), RelayError> {
    while let Some(bytes) = next_or_broken(source, sink, watched).await? {
        let n = bytes.len();
        sink.write(bytes).await?;
        source.consumed(n);
        count(n as u64);
    }
    sink.finish().await
}

async fn next_or_broken(
    source: &mut impl Source,
    sink: &mut impl Sink,
    watched: &AtomicBool,
) -> Result<Option<Bytes>, RelayError> {
    let mut next = pin!(source.next());
    let mut broken = pin!(sink.broken());
    poll_fn(|cx| {
        if let Poll::Ready(result) = next.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if watched.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        broken.as_mut().poll(cx).map(Err)
    })
    .await
}
