//! What the control plane does in a Kubernetes cluster beyond reading its objects
//! ([`crate::source::kubernetes`] does that).
//!
//! - [`connect`]: the way to the API server
//! - [`leader`]: which replica writes
//! - [`root`]: the authority's certificates in a Secret
//! - [`trust`]: the root bundle in a ConfigMap of each namespace
//! - [`waypoints`]: what a Gateway asks for

pub mod connect;
pub mod leader;
pub mod root;
pub mod trust;
pub mod waypoints;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "ambit-control";
