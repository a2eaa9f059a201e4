//! The kinds that are watched, and by which names the API server has them.

use std::fmt;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};

use crate::model::object::Kind;
use crate::source::read::Context;

/// One watched kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched {
    /// The model's kind.
    pub(crate) kind: Kind,
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
}

const fn of(kind: Kind, group: &'static str, name: &'static str, plural: &'static str) -> Watched {
    Watched { kind, group, version: "v1", name, plural }
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const SECURITY: &str = "security.istio.io";
const NETWORKING: &str = "networking.istio.io";

/// All of them.
pub(crate) const ALL: [Watched; 17] = [
    of(Kind::Namespace, "", "Namespace", "namespaces"),
    of(Kind::Node, "", "Node", "nodes"),
    of(Kind::Pod, "", "Pod", "pods"),
    of(Kind::ServiceAccount, "", "ServiceAccount", "serviceaccounts"),
    of(Kind::Service, "", "Service", "services"),
    of(Kind::EndpointSlice, "discovery.k8s.io", "EndpointSlice", "endpointslices"),
    of(Kind::GatewayClass, GATEWAY, "GatewayClass", "gatewayclasses"),
    of(Kind::Gateway, GATEWAY, "Gateway", "gateways"),
    of(Kind::HTTPRoute, GATEWAY, "HTTPRoute", "httproutes"),
    Watched {
        // Older definitions have no other version of it.
        version: "v1beta1",
        ..of(Kind::ReferenceGrant, GATEWAY, "ReferenceGrant", "referencegrants")
    },
    of(Kind::GRPCRoute, GATEWAY, "GRPCRoute", "grpcroutes"),
    of(Kind::AuthorizationPolicy, SECURITY, "AuthorizationPolicy", "authorizationpolicies"),
    of(Kind::PeerAuthentication, SECURITY, "PeerAuthentication", "peerauthentications"),
    of(Kind::ServiceEntry, NETWORKING, "ServiceEntry", "serviceentries"),
    of(Kind::WorkloadEntry, NETWORKING, "WorkloadEntry", "workloadentries"),
    of(Kind::RequestAuthentication, SECURITY, "RequestAuthentication", "requestauthentications"),
    of(Kind::MeshConfig, "", "ConfigMap", "configmaps"),
];

/// The watched kind of a kind of the model.
pub(crate) fn of_kind(kind: Kind) -> Option<Watched> {
    ALL.into_iter().find(|watched| watched.kind == kind)
}

impl Watched {
    /// Where the API server has it.
    pub(crate) fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    /// The objects of all namespaces.
    pub(super) fn api(self, client: Client) -> Api<DynamicObject> {
        Api::all_with(client, &self.resource())
    }

    /// The only object that is wanted, as a field selector.
    pub(super) fn only(self, context: &Context) -> Option<String> {
        let key = &context.mesh_config;
        (self.kind == Kind::MeshConfig)
            .then(|| format!("metadata.name={},metadata.namespace={}", key.name, key.namespace))
    }

    /// Whether its status is a part of the desired state: where pods run and how they are, and
    /// the addresses that hosts were given.
    pub(super) fn has_status_of_use(self) -> bool {
        self.group.is_empty() || self.kind == Kind::ServiceEntry
    }

    /// Whether the API server itself checks its fields.
    pub(super) fn is_built_in(self) -> bool {
        self.group.is_empty() || self.group == "discovery.k8s.io"
    }

    /// `apiVersion` and `kind`, which items of a list lack.
    pub(crate) fn version_and_kind(self) -> (String, &'static str) {
        let version = self.version;
        let version = match self.group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        (version, self.name)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(self.plural)
        } else {
            write!(f, "{}.{}", self.plural, self.group)
        }
    }
}
