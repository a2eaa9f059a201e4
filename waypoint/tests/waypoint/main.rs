//! A waypoint on real sockets: clients in tunnels, applications behind HBONE, authorizers.

mod authorizer;
mod http1;
mod http2;
mod revoke;
mod support;
