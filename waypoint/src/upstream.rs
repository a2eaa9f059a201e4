//! To the application: connections and pools.
//!
//! - [`connect`]: a byte stream to an endpoint, through a tunnel where it has one
//! - [`pool`]: HTTP connections on such streams
//! - `sending`: requests' bodies on shared connections
//! - [`stream`]: what they are made of
//! - [`forward`]: a request's tries, their deadlines and their answer

pub mod connect;
pub mod forward;
pub mod pool;
pub mod resolve;
pub(crate) mod sending;
pub mod stream;
