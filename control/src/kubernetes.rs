//! What the control plane does in a Kubernetes cluster beyond reading its objects
//! ([`crate::source::kubernetes`] does that).
//!
//! - [`class`]: the GatewayClass of waypoints
//! - [`connect`]: the way to the API server
//! - [`leader`]: which replica writes
//! - [`observed`]: objects as the API server has them; [`touched`]: whose status is due
//! - [`root`]: the authority's certificates in a Secret
//! - [`trust`]: the root bundle in a ConfigMap of each namespace
//! - [`status`]: conditions and Events
//! - [`waypoints`]: what a Gateway asks for
//! - [`writers`]: all that write, while one leads

pub mod class;
pub mod connect;
pub mod leader;
pub mod observed;
pub mod root;
pub mod status;
pub mod touched;
pub mod trust;
pub mod waypoints;
pub mod writers;

/// The field manager of everything that is applied.
pub const MANAGER: &str = "ambit-control";
