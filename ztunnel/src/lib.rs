//! Ambit's node proxy.
//!
//! In the order data meets it:
//!
//! - [`state`]: what the proxy knows of the mesh
//! - [`decide`]: where a connection goes and whether it may; pure
//! - [`sockets`]: every socket inside a pod's network namespace
//! - [`cert`]: a certificate per identity, rotation
//! - [`workload`]: pods handed over by the node agent
//! - [`record`]: a connection's one record: metrics and log
//! - [`config`]: what the environment says

pub mod cert;
pub mod config;
pub mod decide;
pub mod record;
pub mod sockets;
pub mod state;
pub mod workload;
