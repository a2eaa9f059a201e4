//! The control plane from outside: real clients over real TLS sockets.

mod dashboard;
mod discovery;
mod limits;
mod mistakes;
mod nodes;
mod reader;
mod source;
mod support;
mod waypoints;
