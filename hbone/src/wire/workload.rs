//! Workloads and services as the proxies decide on them (docs/wire.md, "Workload state").
//!
//! Immutable and compact: a cluster's proxy holds one of each, so repeated texts are shared
//! through an [`Interner`] and lists are boxed slices.

use std::net::IpAddr;
use std::sync::Arc;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::address::{NamespacedHostname, NetworkAddress};
use super::error::WireError;
use super::intern::Interner;
use super::pb::istio::workload as pb;
use crate::identity::SpiffeId;

pub use local::{LocalService, LocalWorkload};
pub use service::{
    HealthPolicy, IpFamilies, LoadBalancing, Mode, Scope, Service, Visibility, WeightedWaypoint,
};

mod convert;
mod local;
mod service;

/// Type URL of [`Address`] resources.
pub const ADDRESS_TYPE: &str = "type.googleapis.com/istio.workload.Address";

/// The port of HBONE on a workload, and on a gateway that names none.
pub const HBONE_PORT: u16 = 15008;

/// What an xDS resource of type Address holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A workload.
    Workload(Arc<Workload>),
    /// A service.
    Service(Arc<Service>),
}

/// One instance of something that runs: a pod, a VM, an external endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Key of the resource; opaque but for `//Pod/`.
    pub uid: Arc<str>,
    /// Object name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// IP addresses, IPv4-mapped ones as IPv4; none if reached by host name or gateway.
    pub addresses: Box<[IpAddr]>,
    /// Network of the addresses.
    pub network: Arc<str>,
    /// How it is spoken to.
    pub tunnel: TunnelProtocol,
    /// Trust domain; `cluster.local` if the wire had none.
    pub trust_domain: Arc<str>,
    /// Service account; `default` if the wire had none.
    pub service_account: Arc<str>,
    /// Its identity; none if trust domain, namespace and account make none. Nobody can then
    /// be verified as it.
    pub identity: Option<SpiffeId>,
    /// Waypoint for traffic to its addresses.
    pub waypoint: Option<GatewayAddress>,
    /// Node it runs on.
    pub node: Arc<str>,
    /// Canonical service name, for telemetry.
    pub canonical_name: Arc<str>,
    /// Canonical revision, for telemetry.
    pub canonical_revision: Arc<str>,
    /// Kind of its owner.
    pub kind: WorkloadKind,
    /// Name of its owner, for telemetry.
    pub workload_name: Arc<str>,
    /// It terminates HBONE itself.
    pub native_tunnel: bool,
    /// Policies with a selector that apply to it, as `namespace/name`.
    pub policies: Box<[Arc<str>]>,
    /// Whether it takes traffic.
    pub status: WorkloadStatus,
    /// Cluster; `Kubernetes` if the wire had none.
    pub cluster: Arc<str>,
    /// How to reach it from other networks.
    pub network_gateway: Option<GatewayAddress>,
    /// Name to resolve when there is no address.
    pub hostname: Arc<str>,
    /// Services it belongs to, sorted by key.
    pub services: Box<[Membership]>,
    /// Where the bytes of its tunnels really go.
    pub application_tunnel: Option<ApplicationTunnel>,
    /// Where it is.
    pub locality: Locality,
    /// Whether it shares its node's addresses.
    pub network_mode: NetworkMode,
    /// Share of a service's traffic; 0 is never chosen.
    pub capacity: u32,
}

/// That a workload serves a service, and on which of its own ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The service.
    pub service: NamespacedHostname,
    /// Service port to this workload's port.
    pub ports: Box<[Port]>,
}

/// A service port and the port behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Port of the service.
    pub service: u16,
    /// Port of the workload; 0 is a named port that is not resolved here.
    pub target: u16,
    /// What is spoken there, as far as known.
    pub app: AppProtocol,
}

/// Region, zone and subzone; empty where unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Region.
    pub region: Arc<str>,
    /// Zone.
    pub zone: Arc<str>,
    /// Subzone.
    pub subzone: Arc<str>,
}

/// A waypoint or a network gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayAddress {
    /// Which one.
    pub destination: GatewayDestination,
    /// Its HBONE port; [`HBONE_PORT`] if the wire had 0.
    pub port: u16,
}

/// How a gateway is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayDestination {
    /// A service, or else a workload, of that namespace and host name.
    Hostname(NamespacedHostname),
    /// An address: a VIP, or else a workload's.
    Address(NetworkAddress),
}

/// Where a workload's tunnels end, instead of at the port they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplicationTunnel {
    /// Whether the bytes start with a PROXY header.
    pub protocol: ApplicationProtocol,
    /// The port that is dialled.
    pub port: u16,
}

/// How the far side of a workload speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TunnelProtocol {
    /// Plain TCP.
    #[default]
    #[serde(alias = "TCP")]
    None,
    /// HBONE to port 15008.
    Hbone,
}

/// The kind of a workload's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// A Deployment; also what an unknown kind is read as.
    #[default]
    Deployment,
    /// A CronJob.
    CronJob,
    /// A bare pod.
    Pod,
    /// A Job.
    Job,
}

/// Whether a workload takes traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum WorkloadStatus {
    /// It does.
    #[default]
    Healthy,
    /// It does not, unless its service says that health does not matter.
    Unhealthy,
}

/// Whether a workload has addresses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum NetworkMode {
    /// It has.
    #[default]
    Standard,
    /// It shares its node's: an address does not tell which workload is meant.
    HostNetwork,
}

/// What is spoken on a port; a hint, unknown values are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AppProtocol {
    /// Not said.
    #[default]
    Unknown,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

/// What an application tunnel begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApplicationProtocol {
    /// Nothing: only the port changes.
    #[default]
    None,
    /// A PROXY v2 header, on loopback.
    Proxy,
}

impl Address {
    /// Decodes and checks the bytes of an Address resource.
    ///
    /// # Errors
    /// The causes for a NACK of docs/wire.md, "Refused resources".
    pub fn decode(bytes: &[u8], interner: &mut Interner) -> Result<Self, WireError> {
        let message = pb::Address::decode(bytes).map_err(|error| WireError::Undecodable {
            object: "address".into(),
            cause: error.to_string(),
        })?;
        Self::from_wire(message, interner)
    }

    /// Checks a decoded Address.
    ///
    /// # Errors
    /// As [`Address::decode`].
    pub fn from_wire(message: pb::Address, interner: &mut Interner) -> Result<Self, WireError> {
        match message.r#type {
            Some(pb::address::Type::Workload(workload)) => {
                Workload::from_wire(&workload, interner).map(|w| Self::Workload(Arc::new(w)))
            }
            Some(pb::address::Type::Service(service)) => {
                Service::from_wire(&service, interner).map(|s| Self::Service(Arc::new(s)))
            }
            None => Err(WireError::Empty),
        }
    }
}

impl TryFrom<pb::Address> for Address {
    type Error = WireError;

    fn try_from(message: pb::Address) -> Result<Self, WireError> {
        Self::from_wire(message, &mut Interner::default())
    }
}

impl Workload {
    /// The part of this workload in `service`, if it belongs to it.
    pub fn membership(&self, service: &NamespacedHostname) -> Option<&Membership> {
        let at = self.services.binary_search_by(|m| m.service.cmp(service)).ok()?;
        self.services.get(at)
    }

    /// Whether `address` is one of its own.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    /// Whether the key says that it is a pod, which wins a conflict about an address.
    pub fn is_pod(&self) -> bool {
        self.uid.contains("//Pod/")
    }
}

impl Membership {
    /// This workload's port behind a service port; none if there is none or it is unresolved.
    pub fn target(&self, service_port: u16) -> Option<u16> {
        target_of(&self.ports, service_port)
    }
}

/// The target of a service port; a port of 0 is no target.
fn target_of(ports: &[Port], service_port: u16) -> Option<u16> {
    let port = ports.iter().find(|port| port.service == service_port)?;
    (port.target != 0).then_some(port.target)
}

#[cfg(test)]
mod tests;
