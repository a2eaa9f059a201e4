//! A waypoint on real sockets: clients in tunnels, applications behind HBONE, authorizers.

mod authorizer;
mod bad_input;
mod http1;
mod http2;
mod limits;
mod revoke;
mod support;
mod tries;
mod trust;
