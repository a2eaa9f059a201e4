//! Discovery: delta ADS. docs/wire.md, "Discovery".
//!
//! - [`table`]: resources and the log of their changes
//! - [`types`]: the discovery types that are served
//! - [`admission`]: who may open a stream
//! - [`subscription`]: one type on one stream, pure
//! - [`stream`]: one stream
//! - [`progress`]: how far each node proxy has come
//! - [`service`]: the gRPC service

pub mod admission;
pub mod metrics;
pub mod progress;
pub mod service;
pub mod stream;
pub mod subscription;
pub mod table;
pub mod types;
