//! A waypoint on real sockets: clients in tunnels, applications behind HBONE, authorizers.

mod authorizer;
mod bad_input;
mod drain;
mod http1;
mod http2;
mod jwt;
mod limits;
mod open_tunnel;
mod revoke;
mod support;
mod telemetry;
mod tries;
mod trust;
