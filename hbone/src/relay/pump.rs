//! One direction of a relay.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::{Ended, RelayError};

/// Where bytes come from.
pub(super) trait Source {
    /// The next bytes, never none of them; `None` at the end. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, RelayError>> + Send;
    /// `n` bytes are used up; the sender may send as many again.
    fn consumed(&mut self, n: usize);
    /// How long bytes that nobody wants are still taken from a sender that has been told all:
    /// closed before that, a socket would drop the end of what it has yet to deliver.
    const LINGER: Duration;
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

/// Moves bytes until the source ends, or the sink's peer wants no more of them. While `watched`,
/// somebody reads what the sink's peer sends and so sees its resets; when nobody does, this
/// looks itself.
pub(super) async fn pump(
    source: &mut impl Source,
    sink: &mut impl Sink,
    watched: &AtomicBool,
    count: impl Fn(u64),
) -> Result<Ended, RelayError> {
    match forward(source, sink, watched, count).await {
        // Rare, and not to cost every connection room.
        Err(e) if e.is_unwanted() => Box::pin(discard(source, watched)).await,
        result => result.map(|()| Ended::Finished),
    }
}

async fn forward(
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

/// Takes what nobody wants until the source ends, but not for long once the other direction,
/// which is what the source waits for, has ended.
async fn discard<S: Source>(source: &mut S, other_runs: &AtomicBool) -> Result<Ended, RelayError> {
    // Whoever ends the other direction polls this one afterwards.
    let runs = || other_runs.load(Ordering::Relaxed);
    let other_ended = poll_fn(|_| if runs() { Poll::Pending } else { Poll::Ready(()) });
    let patience = async {
        other_ended.await;
        tokio::time::sleep(S::LINGER).await;
    };
    let rest = async {
        while let Some(bytes) = source.next().await? {
            source.consumed(bytes.len());
        }
        Ok(Ended::Finished)
    };
    tokio::select! {
        ended = rest => ended,
        () = patience => Ok(Ended::Unwanted),
    }
}
