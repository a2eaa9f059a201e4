//! A waypoint by label, from one end to the other.

mod authorizer;
mod bypass;
mod grpc;
mod shop;

#[path = "../support/peer.rs"]
mod peer;
