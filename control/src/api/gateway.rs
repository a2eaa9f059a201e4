//! The Gateway API v1: GatewayClass, Gateway, HTTPRoute, GRPCRoute; ReferenceGrant of v1beta1.
//!
//! Names and defaults are the specification's (gateway-api.sigs.k8s.io, v1). Enumerations stay
//! texts here, so that a newer value is reported where it is used instead of losing the
//! object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::object::{Key, Meta};

pub use grpc::{GrpcMatch, GrpcMethodMatch, GrpcRoute};

mod grpc;

/// A class of gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayClass {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// The controller that serves it.
    pub controller: String,
}

/// A gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// Its desired state.
    pub spec: GatewaySpec,
}

/// A route of requests; kinds of route differ in what `M` matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route<M> {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// Its desired state.
    pub spec: RouteSpec<M>,
}

/// A route of HTTP requests.
pub type HttpRoute = Route<HttpMatch>;

/// Lets objects of other namespaces refer to some of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// What is granted to whom.
    pub spec: ReferenceGrantSpec,
}

/// `spec` of a ReferenceGrant: each of `from` may refer to each of `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    pub from: Vec<GrantFrom>,
    /// To what.
    pub to: Vec<GrantTo>,
}

/// Objects of a kind in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantFrom {
    /// API group; empty is core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
}

/// Objects of a kind in the grant's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantTo {
    /// API group; empty is core.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// One of them; absent is all.
    #[serde(default)]
    pub name: Option<String>,
}

impl ReferenceGrant {
    /// Whether routes of `kind` and `namespace` may name the Service `name` as a backend.
    pub fn lets_routes(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let route = |from: &GrantFrom| {
            from.group == "gateway.networking.k8s.io"
                && from.kind == kind
                && from.namespace == namespace
        };
        let service = |to: &GrantTo| {
            to.group.is_empty()
                && to.kind == "Service"
                && to.name.as_deref().is_none_or(|only| only == name)
        };
        self.spec.from.iter().any(route) && self.spec.to.iter().any(service)
    }
}

/// `spec` of a GatewayClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// Such as `ambit.dev/waypoint`.
    pub controller_name: String,
}

/// `spec` of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The class.
    pub gateway_class_name: String,
    /// At least one.
    pub listeners: Vec<Listener>,
    /// What is made for it bears this; [`crate::kubernetes::waypoints`] reads it.
    #[serde(default)]
    pub infrastructure: serde_json::Value,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Unique within the Gateway.
    pub name: String,
    /// A host, or none for all.
    #[serde(default)]
    pub hostname: Option<String>,
    /// The port.
    pub port: u16,
    /// Such as `HBONE`.
    pub protocol: String,
    /// Who may attach.
    #[serde(default)]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// Who may attach to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AllowedRoutes {
    /// From which namespaces.
    pub namespaces: Option<RouteNamespaces>,
}

/// From which namespaces routes may attach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RouteNamespaces {
    /// `Same` (default), `All` or `Selector`.
    pub from: Option<String>,
    /// Labels of the namespaces for `Selector`.
    pub selector: Option<LabelSelector>,
}

/// A choice of objects by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// All of them.
    pub match_labels: BTreeMap<String, String>,
    /// And all of these.
    pub match_expressions: Vec<LabelExpression>,
}

/// A requirement of a [`LabelSelector`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether `labels` fit. An operator that is not known fits nothing.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|e| e.fits(labels))
    }
}

impl LabelExpression {
    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|v| self.values.contains(v)),
            "NotIn" => value.is_none_or(|v| !self.values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// `spec` of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[serde(bound(deserialize = "M: Deserialize<'de> + Default"))]
pub struct RouteSpec<M> {
    /// What the route is attached to.
    pub parent_refs: Vec<ParentRef>,
    /// Hosts; ignored for a parent that is a Service.
    pub hostnames: Vec<String>,
    /// The rules.
    pub rules: Vec<RouteRule<M>>,
    /// The rest of it cannot be read: whatever comes to its parents is answered with an error.
    #[serde(skip)]
    pub unreadable: bool,
}

/// What a route is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group; absent is `gateway.networking.k8s.io`.
    #[serde(default)]
    pub group: Option<String>,
    /// Absent is `Gateway`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Absent is the route's own.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// A listener of a Gateway.
    #[serde(default)]
    pub section_name: Option<String>,
    /// A port of the parent.
    #[serde(default)]
    pub port: Option<u16>,
}

impl ParentRef {
    /// The Service that this names for a route in `namespace`, if it names one.
    pub fn service(&self, namespace: &str) -> Option<Key> {
        let core = matches!(self.group.as_deref().unwrap_or_default(), "" | "core");
        let named = core && self.kind.as_deref() == Some("Service");
        named.then(|| Key::new(self.namespace.as_deref().unwrap_or(namespace), &self.name))
    }
}

/// A rule of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[serde(bound(deserialize = "M: Deserialize<'de> + Default"))]
pub struct RouteRule<M> {
    /// Unique within the route.
    pub name: Option<String>,
    /// Or-ed; none is every request.
    pub matches: Vec<M>,
    /// In the order of the list.
    pub filters: Vec<HttpFilter>,
    /// Chosen by weight.
    pub backend_refs: Vec<BackendRef>,
    /// Limits of time; HTTPRoute has them.
    pub timeouts: Option<Timeouts>,
    /// Repeats; HTTPRoute has them.
    pub retry: Option<Retry>,
}

/// A match of a rule; its parts are and-ed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpMatch {
    /// The path.
    pub path: Option<PathMatch>,
    /// All of them.
    pub headers: Vec<ValueMatch>,
    /// All of them.
    pub query_params: Vec<ValueMatch>,
    /// Such as `GET`.
    pub method: Option<String>,
}

/// A match of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathMatch {
    /// `Exact`, `PathPrefix` (default) or `RegularExpression`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Absent is `/`.
    pub value: Option<String>,
}

/// A match of a header or a query parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueMatch {
    /// `Exact` (default) or `RegularExpression`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A filter of a rule or a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpFilter {
    /// Which of the others is set.
    #[serde(rename = "type")]
    pub kind: String,
    /// `RequestHeaderModifier`.
    #[serde(default)]
    pub request_header_modifier: Option<HeaderModifier>,
    /// `ResponseHeaderModifier`.
    #[serde(default)]
    pub response_header_modifier: Option<HeaderModifier>,
    /// `RequestMirror`.
    #[serde(default)]
    pub request_mirror: Option<Mirror>,
    /// `RequestRedirect`.
    #[serde(default)]
    pub request_redirect: Option<Redirect>,
    /// `URLRewrite`.
    #[serde(default)]
    pub url_rewrite: Option<Rewrite>,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeaderModifier {
    /// Replaced or added.
    pub set: Vec<NameValue>,
    /// Added.
    pub add: Vec<NameValue>,
    /// Removed.
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NameValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Where copies of requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// The backend.
    pub backend_ref: BackendRef,
    /// Of a hundred.
    #[serde(default)]
    pub percent: Option<u32>,
    /// Or a fraction.
    #[serde(default)]
    pub fraction: Option<Fraction>,
}

/// A fraction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Fraction {
    /// The upper.
    pub numerator: u32,
    /// The lower; absent is 100.
    #[serde(default)]
    pub denominator: Option<u32>,
}

/// A redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host.
    pub hostname: Option<String>,
    /// The path.
    pub path: Option<PathModifier>,
    /// The port.
    pub port: Option<u16>,
    /// 301 or 302 (default).
    pub status_code: Option<u16>,
}

/// A rewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rewrite {
    /// The host.
    pub hostname: Option<String>,
    /// The path.
    pub path: Option<PathModifier>,
}

/// A change of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathModifier {
    /// `ReplaceFullPath` or `ReplacePrefixMatch`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The new path.
    pub replace_full_path: Option<String>,
    /// The new prefix.
    pub replace_prefix_match: Option<String>,
}

/// Where requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group; absent is core.
    #[serde(default)]
    pub group: Option<String>,
    /// Absent is `Service`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The name.
    pub name: String,
    /// Absent is the route's own.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The port; needed for a Service.
    #[serde(default)]
    pub port: Option<u16>,
    /// Its share; absent is 1.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Filters for requests that go here.
    #[serde(default)]
    pub filters: Vec<HttpFilter>,
}

/// Limits of time, as durations of GEP-2257 such as `500ms`; `0s` is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Timeouts {
    /// For the whole exchange.
    pub request: Option<String>,
    /// For one try.
    pub backend_request: Option<String>,
}

/// Repeats (GEP-1731).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Retry {
    /// Statuses after which to try again.
    pub codes: Vec<u16>,
    /// How often.
    pub attempts: Option<u32>,
    /// Least time between tries.
    pub backoff: Option<String>,
}
