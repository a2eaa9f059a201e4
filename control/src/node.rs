//! The node service: what a machine needs where it has no API server to ask. docs/wire.md,
//! "The node service".
//!
//! - [`reports`]: what machines say about their pods, kept over a restart
//! - [`watch`]: one machine's stream
//! - [`presence`]: which machines have fallen silent
//! - [`intake`]: from the streams to the engine
//! - [`service`]: the gRPC service

pub mod intake;
pub mod presence;
pub mod reports;
pub mod service;
pub mod watch;
