//! The objects of the desired state, checked and cut down to what the mesh uses.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::entry::{ServiceEntry, WorkloadEntry};
use crate::api::gateway::{Gateway, GatewayClass, GrpcRoute, HttpRoute, ReferenceGrant};
use crate::jwks::set::KeySet;
use crate::jwks::url::KeySetUrl;

/// Labels or annotations.
pub type Map = BTreeMap<String, String>;

/// The kinds that the mesh reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// core/v1
    Namespace,
    /// core/v1
    Node,
    /// core/v1
    Pod,
    /// core/v1
    ServiceAccount,
    /// core/v1
    Service,
    /// discovery.k8s.io/v1
    EndpointSlice,
    /// gateway.networking.k8s.io
    GatewayClass,
    /// gateway.networking.k8s.io
    Gateway,
    /// gateway.networking.k8s.io
    HTTPRoute,
    /// gateway.networking.k8s.io
    GRPCRoute,
    /// gateway.networking.k8s.io
    ReferenceGrant,
    /// security.istio.io
    AuthorizationPolicy,
    /// security.istio.io
    PeerAuthentication,
    /// networking.istio.io
    ServiceEntry,
    /// networking.istio.io
    WorkloadEntry,
    /// security.istio.io
    RequestAuthentication,
    /// The ConfigMap that holds the mesh configuration.
    MeshConfig,
}

impl Kind {
    /// Whether objects of the kind live in a namespace.
    pub fn namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::GatewayClass)
    }
}

/// Names one object. Displays as `Kind namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The kind.
    pub kind: Kind,
    /// Empty for kinds without namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced() { namespace } else { "" };
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{:?} {}", self.kind, self.name)
        } else {
            write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// `namespace/name`: how objects of one kind are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// Makes a key.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What every object carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The object's key; the namespace is empty for kinds without one.
    pub key: Key,
    /// Its labels.
    pub labels: Map,
    /// Its annotations.
    pub annotations: Map,
    /// RFC 3339, as written; empty if the document has none. Orders equals, oldest first.
    pub created: String,
}

impl Meta {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Name, labels, annotations.
    pub meta: Meta,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name and the labels that hold the locality.
    pub meta: Meta,
}

/// A service account: known, not yet used for more than its existence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Name, labels, annotations.
    pub meta: Meta,
}

/// The controller that owns a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A pod.
#[allow(clippy::struct_excessive_bools)] // As many as the API has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// The object's UID, or one derived from its name where the document has none.
    pub uid: String,
    /// `spec.nodeName`; empty if it is not scheduled.
    pub node: String,
    /// `default` where the document names none.
    pub service_account: String,
    /// One or two addresses.
    pub ips: Vec<IpAddr>,
    /// It uses the node's network namespace.
    pub host_network: bool,
    /// Succeeded or Failed.
    pub terminated: bool,
    /// Failed.
    pub failed: bool,
    /// The Ready condition; true for a pod without any condition.
    pub ready: bool,
    /// Made by [`crate::deploy`]: its node makes its network namespace, and reports whether
    /// what runs in it is ready.
    pub deployed: bool,
    /// A deletion has begun.
    pub deleting: bool,
    /// Named container ports: name, protocol TCP only, number.
    pub ports: BTreeMap<String, u16>,
    /// `generateName` is set.
    pub generated_name: bool,
    /// The controller that owns it.
    pub owner: Option<Owner>,
}

/// A service's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty if the service has a single, unnamed port.
    pub name: String,
    /// The port that clients dial.
    pub port: u16,
    /// Where it leads.
    pub target: TargetPort,
    /// `appProtocol`, or empty.
    pub app_protocol: String,
}

/// Where a service port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

/// Which addresses a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamilies {
    /// Not said.
    #[default]
    Automatic,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Dual,
}

/// A service.
#[allow(clippy::struct_excessive_bools)] // As many as the API has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// Virtual addresses; none for a headless service.
    pub vips: Vec<IpAddr>,
    /// `clusterIP: None`.
    pub headless: bool,
    /// ExternalName: no part of the mesh.
    pub external_name: bool,
    /// Empty means that slices alone name the endpoints.
    pub selector: Map,
    /// TCP ports.
    pub ports: Vec<ServicePort>,
    /// `trafficDistribution`, or empty.
    pub traffic_distribution: String,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `ipFamilies` and policy.
    pub families: IpFamilies,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// The pod of this name in the slice's namespace, if any.
    pub pod: Option<String>,
    /// Its ready condition; absent counts as ready.
    pub ready: bool,
}

/// Endpoints of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// The service in the same namespace; empty if the label is missing.
    pub service: String,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Port name to number, TCP only.
    pub ports: BTreeMap<String, u16>,
}

/// A rule of an AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Understood in every field.
    Read(Box<ReadRule>),
    /// Not understood; what it guards gets stricter, never laxer.
    Unreadable,
}

/// A rule that was understood. The `not_` fields stand beside theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadRule {
    /// Who; or-ed. Empty: anybody.
    pub from: Vec<crate::api::security::Source>,
    /// What; or-ed. Empty: anything.
    pub to: Vec<crate::api::security::Operation>,
    /// And-ed.
    pub when: Vec<crate::api::security::Condition>,
}

/// What a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Lets matching traffic pass, all other not.
    #[default]
    Allow,
    /// Stops matching traffic.
    Deny,
    /// Notes matching traffic.
    Audit,
    /// Asks an external authorization provider about matching traffic.
    Custom,
}

/// An object that a policy points at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetRef {
    /// API group; empty is core.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace, or empty.
    pub namespace: String,
}

/// An authorization policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// Pods it concerns; `None` for all of its scope.
    pub selector: Option<Map>,
    /// What it is attached to at layer 7.
    pub targets: Vec<TargetRef>,
    /// What it does.
    pub action: Action,
    /// The extension provider of a CUSTOM policy.
    pub provider: String,
    /// Or-ed; none matches nothing.
    pub rules: Vec<Rule>,
    /// Evaluate, never enforce.
    pub dry_run: bool,
}

/// A mode of mutual TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MtlsMode {
    /// Inherits.
    #[default]
    Unset,
    /// Same as permissive.
    Disable,
    /// Takes plaintext too.
    Permissive,
    /// Refuses whoever has no identity.
    Strict,
}

/// Who must present an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// Pods it concerns; `None` for all of its scope.
    pub selector: Option<Map>,
    /// The selector cannot be read: it may concern any pod of its namespace.
    pub any_pod: bool,
    /// The mode.
    pub mode: MtlsMode,
    /// The mode of single target ports.
    pub ports: BTreeMap<u16, MtlsMode>,
}

/// Whose tokens are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// Name, labels, annotations.
    pub meta: Meta,
    /// What it is attached to.
    pub targets: Vec<TargetRef>,
    /// Or-ed.
    pub rules: Vec<JwtRule>,
    /// What could not be understood; every request to its targets is refused.
    pub unreadable: Option<String>,
}

/// What tokens of one issuer must be; understood in every field but perhaps its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// `iss`.
    pub issuer: String,
    /// One of them must be in `aud`; none accepts any.
    pub audiences: Vec<String>,
    /// Who may have signed.
    pub keys: JwtKeys,
    /// Header fields that have the token.
    pub from_headers: Vec<crate::api::security::JwtHeader>,
    /// Parameters of the query that have it.
    pub from_params: Vec<String>,
    /// Cookies that have it.
    pub from_cookies: Vec<String>,
    /// The application gets the token too.
    pub forward: bool,
    /// The field in which it gets the payload, or empty.
    pub payload_header: String,
    /// Fields in which it gets single claims.
    pub claim_headers: Vec<crate::api::security::ClaimToHeader>,
    /// Claims that are lists of words.
    pub space_delimited_claims: Vec<String>,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// In the object.
    Inline(KeySet),
    /// To be fetched.
    Remote {
        /// From where.
        url: KeySetUrl,
        /// How long that may take.
        timeout: Duration,
    },
    /// Nowhere; tokens of the issuer are refused, and why.
    Refused(String),
}

/// The mesh configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// The trust domain.
    pub trust_domain: hbone::identity::TrustDomain,
    /// Its other names, for waypoints.
    pub trust_domain_aliases: Vec<hbone::identity::TrustDomain>,
    /// The namespace whose policies concern the whole mesh.
    pub root_namespace: String,
    /// External authorization and other engines.
    pub providers: Vec<crate::api::mesh::ExtensionProvider>,
}

/// An object of the desired state.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A namespace.
    Namespace(Namespace),
    /// A machine.
    Node(Node),
    /// A pod.
    Pod(Box<Pod>),
    /// A service account.
    ServiceAccount(ServiceAccount),
    /// A service.
    Service(Box<Service>),
    /// Endpoints.
    EndpointSlice(EndpointSlice),
    /// A class of gateways.
    GatewayClass(GatewayClass),
    /// A gateway: for the mesh a waypoint.
    Gateway(Box<Gateway>),
    /// A route of HTTP requests.
    HTTPRoute(Box<HttpRoute>),
    /// A route of gRPC calls.
    GRPCRoute(Box<GrpcRoute>),
    /// Who may refer to what of its namespace.
    ReferenceGrant(ReferenceGrant),
    /// Who may call what.
    AuthorizationPolicy(Box<AuthorizationPolicy>),
    /// Who must have an identity.
    PeerAuthentication(PeerAuthentication),
    /// Something that runs outside the cluster, under a host name.
    ServiceEntry(Box<ServiceEntry>),
    /// One instance of something that runs outside the cluster.
    WorkloadEntry(Box<WorkloadEntry>),
    /// Whose tokens are trusted.
    RequestAuthentication(Box<RequestAuthentication>),
    /// The mesh configuration.
    MeshConfig(Box<MeshConfig>),
}

impl Object {
    /// The object's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::GatewayClass(_) => Kind::GatewayClass,
            Self::Gateway(_) => Kind::Gateway,
            Self::HTTPRoute(_) => Kind::HTTPRoute,
            Self::GRPCRoute(_) => Kind::GRPCRoute,
            Self::ReferenceGrant(_) => Kind::ReferenceGrant,
            Self::AuthorizationPolicy(_) => Kind::AuthorizationPolicy,
            Self::PeerAuthentication(_) => Kind::PeerAuthentication,
            Self::ServiceEntry(_) => Kind::ServiceEntry,
            Self::WorkloadEntry(_) => Kind::WorkloadEntry,
            Self::RequestAuthentication(_) => Kind::RequestAuthentication,
            Self::MeshConfig(_) => Kind::MeshConfig,
        }
    }
}

/// Yes or no as labels and annotations write it (docs/wire.md, "Objects"); `None` for any
/// other text.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// An address or a block of addresses.
///
/// # Errors
/// `None` for any other text.
pub fn ip_block(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
