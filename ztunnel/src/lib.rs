//! Ambit's node proxy.
//!
//! In the order data meets it:
//!
//! - [`sockets`]: every socket inside a pod's network namespace

pub mod sockets;
