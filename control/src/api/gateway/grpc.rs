//! GRPCRoute of the Gateway API v1: what differs from HTTPRoute is what it matches.

use serde::Deserialize;

use super::{Route, ValueMatch};

/// A route of gRPC calls.
pub type GrpcRoute = Route<GrpcMatch>;

/// A match of a rule; its parts are and-ed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcMatch {
    /// Which calls; none is every call.
    pub method: Option<GrpcMethodMatch>,
    /// All of them.
    pub headers: Vec<ValueMatch>,
}

/// A match of the called method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// `Exact` (default) or `RegularExpression`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Such as `shop.Store`; none is every service.
    pub service: Option<String>,
    /// Such as `Order`; none is every method.
    pub method: Option<String>,
}
