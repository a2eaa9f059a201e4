//! The mesh configuration: what the ConfigMap `istio` of the root namespace holds under `mesh`.

use serde::{Deserialize, Serialize};

/// The parts of the mesh configuration that Ambit reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MeshConfigSpec {
    /// `cluster.local` if absent.
    pub trust_domain: Option<String>,
    /// Other names of the trust domain, which waypoints take for its own.
    pub trust_domain_aliases: Vec<String>,
    /// The control plane's own namespace if absent.
    pub root_namespace: Option<String>,
    /// Engines that policies may name.
    pub extension_providers: Vec<ExtensionProvider>,
}

/// An engine that policies may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionProvider {
    /// Unique name.
    pub name: String,
    /// The `ext_authz` gRPC service.
    #[serde(default)]
    pub envoy_ext_authz_grpc: Option<ExtAuthzGrpc>,
    /// The `ext_authz` HTTP service.
    #[serde(default)]
    pub envoy_ext_authz_http: Option<ExtAuthzHttp>,
}

/// How to reach an `ext_authz` gRPC service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtAuthzGrpc {
    /// `[namespace/]host`.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Such as `0.05s`.
    #[serde(default)]
    pub timeout: Option<String>,
    /// Let requests pass when it cannot be asked.
    #[serde(default)]
    pub fail_open: bool,
    /// Reset its route choice.
    #[serde(default)]
    pub clear_route_cache: bool,
    /// The status when it cannot be asked.
    #[serde(default)]
    pub status_on_error: Option<String>,
    /// How much of the body it sees.
    #[serde(default)]
    pub include_request_body_in_check: Option<BodyCheck>,
}

/// How to reach an `ext_authz` HTTP service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtAuthzHttp {
    /// `[namespace/]host`.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Such as `0.05s`.
    #[serde(default)]
    pub timeout: Option<String>,
    /// Let requests pass when it cannot be asked.
    #[serde(default)]
    pub fail_open: bool,
    /// Reset its route choice.
    #[serde(default)]
    pub clear_route_cache: bool,
    /// The status when it cannot be asked.
    #[serde(default)]
    pub status_on_error: Option<String>,
    /// Before the request's path.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Request headers that it sees.
    #[serde(default)]
    pub include_request_headers_in_check: Vec<String>,
    /// Headers added to the check.
    #[serde(default)]
    pub include_additional_headers_in_check: std::collections::BTreeMap<String, String>,
    /// How much of the body it sees.
    #[serde(default)]
    pub include_request_body_in_check: Option<BodyCheck>,
    /// Headers of its answer that go upstream when it allows.
    #[serde(default)]
    pub headers_to_upstream_on_allow: Vec<String>,
    /// Headers of its answer that go to the client when it denies.
    #[serde(default)]
    pub headers_to_downstream_on_deny: Vec<String>,
    /// Headers of its answer that go to the client when it allows.
    #[serde(default)]
    pub headers_to_downstream_on_allow: Vec<String>,
}

/// How much of a body an engine sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BodyCheck {
    /// Bytes.
    pub max_request_bytes: u32,
    /// A longer body is cut instead of refused.
    pub allow_partial_message: bool,
    /// As bytes instead of text.
    pub pack_as_bytes: bool,
}
