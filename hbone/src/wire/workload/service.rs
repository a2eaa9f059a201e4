//! Services: virtual addresses, ports, waypoints and how endpoints are chosen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GatewayAddress, Port, target_of};
use crate::identity::SpiffeId;
use crate::wire::address::{NamespacedHostname, NetworkAddress, NetworkBlock};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and host name: the key.
    pub key: NamespacedHostname,
    /// Object name.
    pub name: Arc<str>,
    /// Virtual addresses; none for a headless service.
    pub vips: Box<[NetworkAddress]>,
    /// Blocks of virtual addresses.
    pub blocks: Box<[NetworkBlock]>,
    /// Service port to target port; a target of 0 is a named port, resolved per workload.
    pub ports: Box<[Port]>,
    /// More identities that its endpoints may present.
    pub subject_alt_names: Box<[SpiffeId]>,
    /// Waypoint of traffic to it.
    pub waypoint: Option<GatewayAddress>,
    /// Several waypoints by weight: unless all weights are 0 they win over `waypoint`.
    pub weighted_waypoints: Box<[WeightedWaypoint]>,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// Families of its addresses.
    pub ip_families: IpFamilies,
    /// Preferred where several services have its host name.
    pub canonical: bool,
    /// Gateways go through its waypoint.
    pub ingress_use_waypoint: bool,
    /// Who sees it.
    pub visibility: Visibility,
}

/// A waypoint and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedWaypoint {
    /// The waypoint.
    pub destination: GatewayAddress,
    /// Its share of new connections.
    pub weight: u32,
}

/// How a service's endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LoadBalancing {
    /// Scopes in order of preference.
    pub preference: Box<[Scope]>,
    /// What the preference does.
    pub mode: Mode,
    /// Whether health matters.
    pub health: HealthPolicy,
}

/// A part of where something runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Same region.
    Region,
    /// Same zone.
    Zone,
    /// Same subzone.
    Subzone,
    /// Same node.
    Node,
    /// Same cluster.
    Cluster,
    /// Same network.
    Network,
}

/// What a preference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Nothing: any endpoint.
    #[default]
    Standard,
    /// Only endpoints that match every scope.
    Strict,
    /// The best that there is.
    Failover,
    /// Endpoints are not consulted: plain TCP to the original destination.
    Passthrough,
}

/// Whether an endpoint must be healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum HealthPolicy {
    /// It must.
    #[default]
    OnlyHealthy,
    /// It need not.
    AllowAll,
}

/// Families of a service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum IpFamilies {
    /// Whatever the endpoints have.
    #[default]
    Automatic,
    /// IPv4 only.
    #[serde(rename = "IPv4")]
    V4Only,
    /// IPv6 only.
    #[serde(rename = "IPv6")]
    V6Only,
    /// Both.
    Dual,
}

/// Who sees a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Clients of its namespace.
    Namespace,
}

impl Service {
    /// The service's own target of a service port; none if there is none or it is a named
    /// port, which only a workload resolves.
    pub fn target(&self, service_port: u16) -> Option<u16> {
        target_of(&self.ports, service_port)
    }

    /// Whether a client in `namespace` sees it.
    pub fn visible_to(&self, namespace: &str) -> bool {
        self.visibility == Visibility::Public || *self.key.namespace == *namespace
    }

    /// Whether any waypoint is named for it.
    pub fn has_waypoint(&self) -> bool {
        self.waypoint.is_some() || self.weighted_waypoints.iter().any(|w| w.weight > 0)
    }
}

impl IpFamilies {
    /// Whether an address of that family may be used.
    pub fn allows(self, address: std::net::IpAddr) -> bool {
        match self {
            Self::Automatic | Self::Dual => true,
            Self::V4Only => address.is_ipv4(),
            Self::V6Only => address.is_ipv6(),
        }
    }
}
