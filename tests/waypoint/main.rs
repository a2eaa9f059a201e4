//! A waypoint by label, from one end to the other.

mod answer;
mod app;
mod authorizer;
mod bypass;
mod engine;
mod grpc;
mod jwt;
mod revoke;
mod routes;
mod shop;

#[path = "../support/peer.rs"]
mod peer;
