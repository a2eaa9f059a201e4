//! HBONE: one TCP connection as one HTTP/2 CONNECT stream inside mutual TLS
//! (docs/wire.md, "CONNECT request"; RFC 9113 section 8.5).
//!
//! - [`TunnelConfig`]: windows, limits and deadlines
//! - [`headers`]: what a CONNECT says besides its target
//! - [`Pool`]: the dialling side, with pooled connections
//! - [`serve`] and [`Incoming`]: the accepting side
//! - [`Tunnel`]: an open tunnel, the same on both sides
//! - [`TunnelError`]: why there is none
//!
//! No h2 type leaves this module: the carrier can be another one some day.
//!
//! # Windows: one stalled tunnel never stalls another
//!
//! A receiver grants every stream `stream_window` and the connection the product of that and
//! the number of streams it allows. So even if all other tunnels of a connection are full and
//! nobody reads them, the connection window still has room for the one that drains.

mod client;
mod config;
mod error;
pub mod headers;
mod keepalive;
mod pool;
mod read_ahead;
mod server;
mod stream;
mod write_behind;

pub use client::{Dial, Direct};
pub use config::{ConfigError, TunnelConfig};
pub use error::{Fault, TunnelError};
pub use pool::{OpenRequest, Pool, PoolMetrics};
pub use read_ahead::ReadAhead;
pub use server::{Accepted, Drain, Incoming, accept_tls, serve};
pub use stream::{StreamError, Tunnel, TunnelReader, TunnelWriter};

/// Where HBONE is served (docs/wire.md, "Ports").
pub const HBONE_PORT: u16 = 15008;

#[cfg(test)]
mod tests;
