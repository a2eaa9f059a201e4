//! How long to wait after a stream ended.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};

use crate::channel::ChannelError;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_millis(10);
/// Share of a pause by which it varies, so that a fleet does not come back as one.
const JITTER: f64 = 0.2;

/// How a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// No connection.
    Connect(ChannelError),
    /// The server accepted, then said nothing for so long.
    Silent(Duration),
    /// With an error of the server or of the transport.
    Status(Status),
    /// By the server, in the ordinary way: a maximum age, a restart.
    Complete,
}

/// The metric's classes of ends (docs/wire.md, "Telemetry").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection.
    ConnectionError,
    /// Any other failure.
    Error,
    /// A server that goes away in an orderly manner.
    Reconnect,
    /// A clean end.
    Complete,
}

impl End {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Connect(_) => Class::ConnectionError,
            Self::Status(status) if goes_away(status) => Class::Reconnect,
            Self::Status(_) | Self::Silent(_) => Class::Error,
            Self::Complete => Class::Complete,
        }
    }
}

fn goes_away(status: &Status) -> bool {
    let said = |text| status.message().contains(text);
    match status.code() {
        Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => true,
        Code::Unavailable => said("transport is closing") || said("received prior goaway"),
        _ => false,
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => f.write_str(&crate::channel::chain(error)),
            Self::Silent(limit) => write!(f, "the server did not answer within {limit:?}"),
            Self::Status(status) => {
                write!(f, "{:?}: {}", status.code(), status.message())
            }
            Self::Complete => f.write_str("ended by the server"),
        }
    }
}

/// Pauses between streams: 20 ms doubling to 15 s; after a healthy stream that ended in order,
/// none or 10 ms, and the doubling starts anew.
#[derive(Debug)]
pub(super) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Backoff {
    /// The pause after `end`. `healthy` says that the stream was answered and lived a while:
    /// only then an orderly end means no fault, so that a server which ends every stream at
    /// once is not called in a tight loop. `random` is in `0..1`.
    pub(super) fn next(&mut self, end: &End, healthy: bool, random: f64) -> Duration {
        if healthy {
            self.pause = FIRST;
            match end.class() {
                Class::Complete => return Duration::ZERO,
                Class::Reconnect => return SOON,
                Class::ConnectionError | Class::Error => {}
            }
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
    }
}
