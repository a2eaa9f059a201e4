//! The control plane from outside: real clients over real TLS sockets.

mod discovery;
mod limits;
mod mistakes;
mod nodes;
mod source;
mod support;
mod waypoints;
