//! Bytes both ways between the two ends of one connection, with half-close, resets and bounded
//! buffers (docs/wire.md, "Life of a tunnel").
//!
//! - an end of stream on one side ends that direction on the other; the rest goes on
//! - a reset on one side resets the other: an application must never take a cut transfer for a
//!   finished one
//! - a side that has finished and then leaves ends only what is sent to it; what it sent is
//!   delivered
//! - neither direction can starve the other
//! - at most one chunk per direction is in our hands; flow control does the rest

mod pump;
mod tcp;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::tunnel::{StreamError, Tunnel, TunnelReader, TunnelWriter};
use pump::{Sink, Source, pump};
use tcp::{TcpSink, TcpSource, reset_on_close};

/// Counts bytes as they are written, from the view of the connection's client.
pub trait Meter {
    /// `n` bytes went from the first end to the second.
    fn forward(&self, n: u64);
    /// `n` bytes went from the second end to the first.
    fn back(&self, n: u64);
}

/// How a relay ended when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both directions were finished by their senders.
    Finished,
    /// One end finished its direction and took no more; the other went on sending for long.
    Unwanted,
    /// The caller stopped it; both ends were reset.
    Stopped,
}

/// Which end of a relay failed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The socket of an application.
    #[error("the application's connection broke")]
    Application(#[source] io::Error),
    /// The tunnel.
    #[error(transparent)]
    Tunnel(#[from] StreamError),
}

impl RelayError {
    /// Whether it is how programs and peers end connections every day, so that it counts as an
    /// end and not as a failure.
    pub fn is_ordinary(&self) -> bool {
        match self {
            Self::Application(e) => matches!(
                e.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
            ),
            Self::Tunnel(StreamError::Reset(_) | StreamError::Unwanted) => true,
            Self::Tunnel(StreamError::Connection(_)) => false,
        }
    }

    /// Whether the end that should take bytes has finished its own direction and takes no more.
    fn is_unwanted(&self) -> bool {
        match self {
            // Linux reports EPIPE, not ECONNRESET, for an RST that follows a FIN.
            Self::Application(e) => e.kind() == io::ErrorKind::BrokenPipe,
            Self::Tunnel(e) => matches!(e, StreamError::Unwanted),
        }
    }
}

/// Relays between a socket (the first end) and a tunnel until both directions are finished, one
/// fails, or `stop` completes.
///
/// Not cancel safe: dropping it resets the tunnel but closes the socket in order.
pub async fn tunnel(
    mut tcp: TcpStream,
    tunnel: Tunnel,
    meter: &impl Meter,
    stop: impl Future<Output = ()>,
) -> Result<Ended, RelayError> {
    let (mut reader, mut writer) = tunnel.into_split();
    let ended = {
        let (read, write) = tcp.split();
        let (mut source, mut sink) = (TcpSource::new(read), TcpSink(write));
        both(&mut source, &mut writer, &mut reader, &mut sink, meter, stop).await
    };
    match ended {
        Ok(Ended::Finished) => {}
        // Both directions that mattered are whole, and the tunnel's end must not be overtaken.
        Ok(Ended::Unwanted) => reset_on_close(&tcp),
        Ok(Ended::Stopped) | Err(_) => {
            writer.reset();
            reset_on_close(&tcp);
        }
    }
    ended
}

/// Relays between two tunnels; otherwise as [`tunnel`].
pub async fn tunnels(
    first: Tunnel,
    second: Tunnel,
    meter: &impl Meter,
    stop: impl Future<Output = ()>,
) -> Result<Ended, RelayError> {
    let (mut near_reader, mut near_writer) = first.into_split();
    let (mut far_reader, mut far_writer) = second.into_split();
    let ended =
        both(&mut near_reader, &mut far_writer, &mut far_reader, &mut near_writer, meter, stop)
            .await;
    if matches!(ended, Ok(Ended::Stopped) | Err(_)) {
        near_writer.reset();
        far_writer.reset();
    }
    ended
}

/// Relays between two sockets; otherwise as [`tunnel`].
pub async fn tcp(
    mut first: TcpStream,
    mut second: TcpStream,
    meter: &impl Meter,
    stop: impl Future<Output = ()>,
) -> Result<Ended, RelayError> {
    let ended = {
        let (read, write) = first.split();
        let (mut near_source, mut near_sink) = (TcpSource::new(read), TcpSink(write));
        let (read, write) = second.split();
        let (mut far_source, mut far_sink) = (TcpSource::new(read), TcpSink(write));
        both(&mut near_source, &mut far_sink, &mut far_source, &mut near_sink, meter, stop).await
    };
    if !matches!(ended, Ok(Ended::Finished)) {
        reset_on_close(&first);
        reset_on_close(&second);
    }
    ended
}

/// Both directions of one connection in one task.
async fn both(
    near_source: &mut impl Source,
    far_sink: &mut impl Sink,
    far_source: &mut impl Source,
    near_sink: &mut impl Sink,
    meter: &impl Meter,
    stop: impl Future<Output = ()>,
) -> Result<Ended, RelayError> {
    // A reset shows where we read. Once a direction has ended, only the other's sink can tell.
    let (read_near, read_far) = (AtomicBool::new(true), AtomicBool::new(true));
    let mut forward = pin!(pump(near_source, far_sink, &read_far, |n| meter.forward(n)));
    let mut back = pin!(pump(far_source, near_sink, &read_near, |n| meter.back(n)));
    let mut stop = pin!(stop);
    // Polled in random order: a flood one way uses up the task's turn.
    let (first, second) = tokio::select! {
        result = &mut forward => {
            let first = result?;
            read_near.store(false, Ordering::Relaxed);
            tokio::select! {
                result = back => (first, result?),
                () = stop => return Ok(Ended::Stopped),
            }
        }
        result = &mut back => {
            let first = result?;
            read_far.store(false, Ordering::Relaxed);
            tokio::select! {
                result = forward => (first, result?),
                () = stop => return Ok(Ended::Stopped),
            }
        }
        () = &mut stop => return Ok(Ended::Stopped),
    };
    Ok(if first == Ended::Finished { second } else { first })
}

impl Source for TunnelReader {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, RelayError> {
        Ok(self.chunk().await.transpose()?)
    }

    fn consumed(&mut self, n: usize) {
        self.release(n);
    }

    // The peer is told at once: dropping the tunnel lets it finish and takes no more from it.
    const LINGER: Duration = Duration::ZERO;
}

impl Sink for TunnelWriter {
    async fn write(&mut self, bytes: bytes::Bytes) -> Result<(), RelayError> {
        Ok(TunnelWriter::write(self, bytes).await?)
    }

    async fn finish(&mut self) -> Result<(), RelayError> {
        Ok(TunnelWriter::finish(self)?)
    }

    async fn broken(&mut self) -> RelayError {
        self.reset_by_peer().await.into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
