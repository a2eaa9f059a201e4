//! AuthorizationPolicy, PeerAuthentication and RequestAuthentication of `security.istio.io/v1`.
//!
//! The parts of a rule refuse fields that they do not know: a rule with one is unreadable.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::object::{MtlsMode, TargetRef};

/// `spec` of an AuthorizationPolicy. Rules stay raw: each is read by itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthorizationPolicySpec {
    /// Pods of the scope.
    pub selector: Option<Selector>,
    /// One target, deprecated.
    pub target_ref: Option<TargetRef>,
    /// Targets.
    pub target_refs: Vec<TargetRef>,
    /// ALLOW if absent.
    pub action: Option<String>,
    /// For CUSTOM.
    pub provider: Option<Provider>,
    /// The rules.
    pub rules: Vec<serde_json::Value>,
}

/// Pods by their labels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// All of them.
    pub match_labels: BTreeMap<String, String>,
}

/// An extension provider's name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// As in the mesh configuration.
    pub name: String,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSpec {
    /// Who.
    pub from: Option<Vec<From>>,
    /// What.
    pub to: Option<Vec<To>>,
    /// Conditions.
    pub when: Option<Vec<Condition>>,
}

/// An entry of `from`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// Who.
    pub source: Source,
}

/// An entry of `to`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// What.
    pub operation: Operation,
}

/// Who calls. Fields are and-ed, the values of one are or-ed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs)] // Each field is the API's own name.
pub struct Source {
    pub principals: Vec<String>,
    pub not_principals: Vec<String>,
    pub request_principals: Vec<String>,
    pub not_request_principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub not_namespaces: Vec<String>,
    pub ip_blocks: Vec<String>,
    pub not_ip_blocks: Vec<String>,
    pub remote_ip_blocks: Vec<String>,
    pub not_remote_ip_blocks: Vec<String>,
    pub service_accounts: Vec<String>,
    pub not_service_accounts: Vec<String>,
    pub trust_domains: Vec<String>,
    pub not_trust_domains: Vec<String>,
}

/// What is called. Fields are and-ed, the values of one are or-ed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs)] // Each field is the API's own name.
pub struct Operation {
    pub hosts: Vec<String>,
    pub not_hosts: Vec<String>,
    pub ports: Vec<String>,
    pub not_ports: Vec<String>,
    pub methods: Vec<String>,
    pub not_methods: Vec<String>,
    pub paths: Vec<String>,
    pub not_paths: Vec<String>,
}

/// A condition on one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Condition {
    /// Such as `source.ip`.
    pub key: String,
    /// One of them.
    pub values: Vec<String>,
    /// None of them.
    pub not_values: Vec<String>,
}

/// `spec` of a RequestAuthentication. Rules stay raw: each is read by itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RequestAuthenticationSpec {
    /// Pods of the scope; of sidecars.
    pub selector: Option<Selector>,
    /// One target, deprecated.
    pub target_ref: Option<TargetRef>,
    /// Targets.
    pub target_refs: Vec<TargetRef>,
    /// The rules: a list.
    pub jwt_rules: serde_json::Value,
}

/// What tokens of one issuer must be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs)] // Each field is the API's own name.
pub struct JwtRule {
    pub issuer: String,
    pub audiences: Vec<String>,
    #[serde(alias = "jwks_uri")]
    pub jwks_uri: String,
    pub jwks: String,
    pub from_headers: Vec<JwtHeader>,
    pub from_params: Vec<String>,
    pub from_cookies: Vec<String>,
    pub output_payload_to_header: String,
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    pub forward_original_token: bool,
    pub timeout: Option<String>,
    pub space_delimited_claims: Vec<String>,
}

/// A header field that has the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtHeader {
    /// Its name.
    pub name: String,
    /// What comes before the token.
    pub prefix: String,
}

/// A claim that the application gets in a header field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The field.
    pub header: String,
    /// The claim.
    pub claim: String,
}

/// `spec` of a PeerAuthentication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PeerAuthenticationSpec {
    /// Pods of the namespace.
    pub selector: Option<Selector>,
    /// The mode.
    pub mtls: Option<Mtls>,
    /// The mode of single ports; keys are numbers.
    pub port_level_mtls: BTreeMap<String, Mtls>,
}

/// A mode.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mtls {
    /// The mode.
    pub mode: MtlsMode,
}
