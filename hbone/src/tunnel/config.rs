//! Windows, limits and deadlines of tunnels.

use std::time::Duration;

/// Smallest window of HTTP/2 that we set (RFC 9113 section 6.9.2: the protocol's default).
const MIN_WINDOW: u32 = 65_535;
/// Largest window of HTTP/2 (RFC 9113 section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// How tunnels are carried, the same for the dialling and the accepting side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    /// Bytes that we buffer for one tunnel. `HTTP2_STREAM_WINDOW_SIZE`, 65,535 to 2^31 - 1,
    /// default 1 MiB. A larger one helps a single stream over a long link.
    pub stream_window: u32,
    /// Largest DATA frame we accept. `HTTP2_FRAME_SIZE`, 16,384 to 16,777,215, default 1 MiB.
    pub max_frame: u32,
    /// Streams that a peer may have open on one connection, default 200. With
    /// `stream_window` it makes the connection window.
    pub max_streams_accepted: u32,
    /// Streams that we open on one connection. `POOL_MAX_STREAMS_PER_CONNECTION`, 1 to
    /// 65,535, default 100; the peer's own limit holds too.
    pub max_streams_opened: u16,
    /// Connections that one pool keeps to one destination, default 256. Beyond it a new
    /// tunnel is refused.
    pub max_connections: usize,
    /// A connection that carried nothing for this long leaves the pool.
    /// `POOL_UNUSED_RELEASE_TIMEOUT` in seconds, default 5 min.
    pub idle_release: Duration,
    /// TCP, TLS and the answer to CONNECT, each. Default 10 s.
    pub connect_timeout: Duration,
    /// Time between two PINGs, default 8 s.
    pub ping_interval: Duration,
    /// Time for the answer to a PING, default 5 s: with the interval, a dead peer is found
    /// within 15 s.
    pub ping_timeout: Duration,
}

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {found:?}; write a whole number from {min} to {max}")]
pub struct ConfigError {
    variable: &'static str,
    found: String,
    min: u64,
    max: u64,
}

impl ConfigError {
    /// The variable.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// Its value.
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self {
            stream_window: 1024 * 1024,
            max_frame: 1024 * 1024,
            max_streams_accepted: 200,
            max_streams_opened: 100,
            max_connections: 256,
            idle_release: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(8),
            ping_timeout: Duration::from_secs(5),
        }
    }
}

impl TunnelConfig {
    /// The defaults, changed by the variables that `lookup` knows.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |variable, min: u64, max: u64, default: u64| match lookup(variable) {
            None => Ok(default),
            Some(found) => match found.parse() {
                Ok(value) if (min..=max).contains(&value) => Ok(value),
                _ => Err(ConfigError { variable, found, min, max }),
            },
        };
        let d = Self::default();
        let window = read(
            "HTTP2_STREAM_WINDOW_SIZE",
            MIN_WINDOW.into(),
            MAX_WINDOW.into(),
            d.stream_window.into(),
        )?;
        let frame = read("HTTP2_FRAME_SIZE", 16_384, (1 << 24) - 1, d.max_frame.into())?;
        let streams =
            read("POOL_MAX_STREAMS_PER_CONNECTION", 1, 65_535, d.max_streams_opened.into())?;
        let idle = read("POOL_UNUSED_RELEASE_TIMEOUT", 1, 86_400, d.idle_release.as_secs())?;
        Ok(Self {
            stream_window: window as u32,
            max_frame: frame as u32,
            max_streams_opened: streams as u16,
            idle_release: Duration::from_secs(idle),
            ..d
        })
    }

    /// The connection window of the accepting side: room for all of its streams.
    pub(super) fn server_window(&self) -> u32 {
        self.window_for(self.max_streams_accepted)
    }

    /// The connection window of the dialling side.
    pub(super) fn client_window(&self) -> u32 {
        self.window_for(self.max_streams_opened.into())
    }

    fn window_for(&self, streams: u32) -> u32 {
        self.stream_window.saturating_mul(streams).min(MAX_WINDOW)
    }
}
