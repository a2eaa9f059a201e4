//! The node service: what a machine needs where it has no API server to ask. docs/wire.md,
//! "The node service".
//!
//! - [`reports`]: what machines say about their pods, kept over a restart
//! - [`watch`]: one machine's stream
//! - [`service`]: the gRPC service

pub mod reports;
pub mod service;
pub mod watch;
