//! The control plane from outside: real clients over real TLS sockets.

mod discovery;
mod nodes;
mod source;
mod support;
