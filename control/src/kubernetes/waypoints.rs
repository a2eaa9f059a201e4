//! Waypoints on demand in a cluster: what a Gateway asks for becomes objects of the API server.
//!
//! - [`options`]: what the operator sets
//! - [`controller`]: follows Gateways; [`namespaces`]: follows labels of namespaces
//! - [`children`]: what is there; [`apply`]: makes the rest; [`outcome`]: what became of it
//! - [`asked`]: the Gateway as far as it matters here
//! - [`overlay`]: what its owner changes of the objects
//! - [`render`]: the objects; [`pod`]: what runs; [`restricted`]: what an overlay may not do
//!
//! docs/wire.md, "Waypoints on demand".

mod apply;
pub mod asked;
mod children;
pub mod controller;
pub mod namespaces;
pub mod options;
pub mod outcome;
pub mod overlay;
pub mod pod;
pub mod render;
pub mod restricted;

use kube::api::{ApiResource, GroupVersionKind};

/// What the operator has set for all waypoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image, whose entry point is the program `waypoint`.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Where discovery and certificates are, such as `https://istiod.istio-system.svc:15012`.
    pub control: String,
    /// The trust domain of the mesh.
    pub trust_domain: String,
    /// The cluster's id.
    pub cluster: String,
    /// The network's id; empty for a single network.
    pub network: String,
    /// What follows `<service>.<namespace>.svc.`.
    pub domain: String,
}

/// The kinds that are made for a Gateway, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Managed {
    /// v1
    ServiceAccount,
    /// v1
    Service,
    /// policy/v1
    PodDisruptionBudget,
    /// apps/v1
    Deployment,
    /// autoscaling/v2
    HorizontalPodAutoscaler,
}

impl Managed {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ServiceAccount,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::Deployment,
        Self::HorizontalPodAutoscaler,
    ];

    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::PodDisruptionBudget => {
                ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
            }
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
        }
    }

    /// Where the API server has it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Its kind.
    pub fn kind(self) -> &'static str {
        self.names().2
    }

    /// Its API group and version, as objects have them.
    pub fn api_version(self) -> String {
        match self.names() {
            ("", version, ..) => version.to_owned(),
            (group, version, ..) => format!("{group}/{version}"),
        }
    }

    /// Its key in the ConfigMap of an overlay.
    pub fn overlay_key(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceAccount",
            Self::Service => "service",
            Self::PodDisruptionBudget => "podDisruptionBudget",
            Self::Deployment => "deployment",
            Self::HorizontalPodAutoscaler => "horizontalPodAutoscaler",
        }
    }
}
