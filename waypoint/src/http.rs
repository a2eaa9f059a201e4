//! HTTP on a tunnel: what is read, what is refused, what is answered.
//!
//! - [`headers`]: fields that never pass from one hop to the next
//! - [`head`]: from a request to its one meaning, or 400
//! - [`guard`]: bytes of HTTP/1.1 that a second parser could read differently
//! - [`body`]: answers' bodies that stream past; [`upload`]: requests' bodies
//! - [`leash`]: ends what a policy turned against
//! - [`reply`]: answers of the waypoint itself
//! - [`upgraded`]: what follows a change of protocol
//! - [`serve`]: HTTP/1.1 and HTTP/2 connections

pub mod body;
pub mod guard;
pub mod head;
pub mod headers;
pub mod leash;
pub mod reply;
pub mod serve;
pub mod upgraded;
pub mod upload;

/// Header fields of one request, names and values, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Header fields of one request.
pub const MAX_HEADER_COUNT: usize = 100;
