//! The local form of workloads and services: the JSON of `/config_dump` and the file of
//! `LOCAL_XDS_PATH` (docs/wire.md, "Static state").
//!
//! A file's text goes through the wire message, so it meets the same checks as xDS.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    ApplicationProtocol, ApplicationTunnel, GatewayAddress, GatewayDestination, HBONE_PORT,
    HealthPolicy, IpFamilies, LoadBalancing, Mode, NetworkMode, Port, Scope, Service,
    TunnelProtocol, Visibility, Workload, WorkloadKind, WorkloadStatus,
};
use crate::wire::error::{WireError, shorten};
use crate::wire::pb::istio::workload as pb;

/// A workload in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // The fields are those of `Workload`.
pub struct LocalWorkload {
    pub uid: String,
    pub name: String,
    pub namespace: String,
    pub workload_ips: Vec<IpAddr>,
    pub network: String,
    pub protocol: TunnelProtocol,
    pub trust_domain: String,
    pub service_account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waypoint: Option<LocalGateway>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_gateway: Option<LocalGateway>,
    pub node: String,
    pub canonical_name: String,
    pub canonical_revision: String,
    pub workload_type: WorkloadKind,
    pub workload_name: String,
    pub native_tunnel: bool,
    pub authorization_policies: Vec<String>,
    pub status: WorkloadStatus,
    pub cluster_id: String,
    pub hostname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_tunnel: Option<LocalTunnel>,
    pub locality: LocalLocality,
    pub network_mode: NetworkMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Key `namespace/hostname`; service port to target port.
    pub services: BTreeMap<String, BTreeMap<u16, u16>>,
}

/// A service in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // The fields are those of `Service`.
pub struct LocalService {
    pub name: String,
    pub namespace: String,
    pub hostname: String,
    /// `network/address` or `network/address/length`.
    pub vips: Vec<String>,
    /// Service port to target port.
    pub ports: BTreeMap<u16, u16>,
    pub subject_alt_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waypoint: Option<LocalGateway>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weighted_waypoints: Vec<LocalWeighted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LocalBalancing>,
    pub ip_families: IpFamilies,
    pub canonical: bool,
    pub ingress_use_waypoint: bool,
    pub visibility: Visibility,
}

/// A gateway in local form: `namespace/hostname`, or `network/address`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalGateway {
    /// The gateway: an address if what follows the slash is one, otherwise a host name.
    pub destination: String,
    /// Its HBONE port.
    #[serde(default = "hbone_port")]
    pub hbone_mtls_port: u16,
}

/// A weighted waypoint in local form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalWeighted {
    /// The waypoint.
    pub destination: LocalGateway,
    /// Its share.
    pub weight: u32,
}

/// An application tunnel in local form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalTunnel {
    /// What it begins with.
    #[serde(default)]
    pub protocol: ApplicationProtocol,
    /// The port dialled.
    pub port: u16,
}

/// A locality in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct LocalLocality {
    pub region: String,
    pub zone: String,
    pub subzone: String,
}

/// Load balancing in local form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)] // The fields are those of `LoadBalancing`.
pub struct LocalBalancing {
    pub routing_preferences: Vec<Scope>,
    pub mode: Mode,
    pub health_policy: HealthPolicy,
}

fn hbone_port() -> u16 {
    HBONE_PORT
}

impl From<&Workload> for LocalWorkload {
    fn from(w: &Workload) -> Self {
        let services = w.services.iter();
        Self {
            uid: w.uid.to_string(),
            name: w.name.to_string(),
            namespace: w.namespace.to_string(),
            workload_ips: w.addresses.to_vec(),
            network: w.network.to_string(),
            protocol: w.tunnel,
            trust_domain: w.trust_domain.to_string(),
            service_account: w.service_account.to_string(),
            waypoint: w.waypoint.as_ref().map(Into::into),
            network_gateway: w.network_gateway.as_ref().map(Into::into),
            node: w.node.to_string(),
            canonical_name: w.canonical_name.to_string(),
            canonical_revision: w.canonical_revision.to_string(),
            workload_type: w.kind,
            workload_name: w.workload_name.to_string(),
            native_tunnel: w.native_tunnel,
            authorization_policies: w.policies.iter().map(ToString::to_string).collect(),
            status: w.status,
            cluster_id: w.cluster.to_string(),
            hostname: w.hostname.to_string(),
            application_tunnel: w.application_tunnel.map(Into::into),
            locality: LocalLocality {
                region: w.locality.region.to_string(),
                zone: w.locality.zone.to_string(),
                subzone: w.locality.subzone.to_string(),
            },
            network_mode: w.network_mode,
            capacity: Some(w.capacity),
            services: services.map(|m| (m.service.to_string(), port_map(&m.ports))).collect(),
        }
    }
}

impl From<&Service> for LocalService {
    fn from(s: &Service) -> Self {
        let blocks = s.blocks.iter().map(ToString::to_string);
        let balancing = &s.load_balancing;
        Self {
            name: s.name.to_string(),
            namespace: s.key.namespace.to_string(),
            hostname: s.key.hostname.to_string(),
            vips: s.vips.iter().map(ToString::to_string).chain(blocks).collect(),
            ports: port_map(&s.ports),
            subject_alt_names: s.subject_alt_names.iter().map(ToString::to_string).collect(),
            waypoint: s.waypoint.as_ref().map(Into::into),
            weighted_waypoints: s
                .weighted_waypoints
                .iter()
                .map(|w| LocalWeighted { destination: (&w.destination).into(), weight: w.weight })
                .collect(),
            load_balancer: (*balancing != LoadBalancing::default()).then(|| LocalBalancing {
                routing_preferences: balancing.preference.to_vec(),
                mode: balancing.mode,
                health_policy: balancing.health,
            }),
            ip_families: s.ip_families,
            canonical: s.canonical,
            ingress_use_waypoint: s.ingress_use_waypoint,
            visibility: s.visibility,
        }
    }
}

impl From<&GatewayAddress> for LocalGateway {
    fn from(gateway: &GatewayAddress) -> Self {
        let destination = match &gateway.destination {
            GatewayDestination::Hostname(name) => name.to_string(),
            GatewayDestination::Address(address) => address.to_string(),
        };
        Self { destination, hbone_mtls_port: gateway.port }
    }
}

impl From<ApplicationTunnel> for LocalTunnel {
    fn from(tunnel: ApplicationTunnel) -> Self {
        Self { protocol: tunnel.protocol, port: tunnel.port }
    }
}

impl Serialize for Workload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LocalWorkload::from(self).serialize(serializer)
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LocalService::from(self).serialize(serializer)
    }
}

impl TryFrom<LocalWorkload> for pb::Workload {
    type Error = WireError;

    fn try_from(w: LocalWorkload) -> Result<Self, WireError> {
        let object = format!("workload {}", shorten(&w.uid));
        let gateway = |field, gateway: Option<LocalGateway>| {
            gateway.map(|gateway| gateway.into_wire(&object, field)).transpose()
        };
        let services = w.services.iter();
        Ok(Self {
            waypoint: gateway("waypoint", w.waypoint)?,
            network_gateway: gateway("networkGateway", w.network_gateway)?,
            name: w.name,
            namespace: w.namespace,
            addresses: w.workload_ips.iter().map(|ip| octets(*ip)).collect(),
            network: w.network,
            tunnel_protocol: w.protocol as i32,
            trust_domain: w.trust_domain,
            service_account: w.service_account,
            node: w.node,
            canonical_name: w.canonical_name,
            canonical_revision: w.canonical_revision,
            workload_type: w.workload_type as i32,
            workload_name: w.workload_name,
            native_tunnel: w.native_tunnel,
            authorization_policies: w.authorization_policies,
            status: w.status as i32,
            cluster_id: w.cluster_id,
            uid: w.uid,
            hostname: w.hostname,
            services: services
                .map(|(key, ports)| (key.clone(), pb::PortList { ports: wire_ports(ports) }))
                .collect(),
            application_tunnel: w.application_tunnel.map(|tunnel| pb::ApplicationTunnel {
                protocol: tunnel.protocol as i32,
                port: tunnel.port.into(),
            }),
            locality: Some(pb::Locality {
                region: w.locality.region,
                zone: w.locality.zone,
                subzone: w.locality.subzone,
            }),
            network_mode: w.network_mode as i32,
            extensions: Vec::new(),
            capacity: w.capacity,
        })
    }
}

impl TryFrom<LocalService> for pb::Service {
    type Error = WireError;

    fn try_from(s: LocalService) -> Result<Self, WireError> {
        let object = format!("service {}/{}", shorten(&s.namespace), shorten(&s.hostname));
        let gateway = |field, gateway: LocalGateway| gateway.into_wire(&object, field);
        let weighted = s.weighted_waypoints.into_iter().map(|w| {
            let destination = Some(gateway("weightedWaypoints", w.destination)?);
            Ok(pb::WeightedWaypoint { destination, weight: w.weight })
        });
        Ok(Self {
            waypoint: s.waypoint.map(|w| gateway("waypoint", w)).transpose()?,
            weighted_waypoints: weighted.collect::<Result<_, WireError>>()?,
            addresses: s.vips.iter().map(|vip| wire_vip(&object, vip)).collect::<Result<_, _>>()?,
            name: s.name,
            namespace: s.namespace,
            hostname: s.hostname,
            ports: wire_ports(&s.ports),
            subject_alt_names: s.subject_alt_names,
            load_balancing: s.load_balancer.map(|lb| pb::LoadBalancing {
                routing_preference: lb.routing_preferences.iter().map(|s| *s as i32 + 1).collect(),
                mode: lb.mode as i32,
                health_policy: lb.health_policy as i32,
            }),
            ip_families: s.ip_families as i32,
            extensions: Vec::new(),
            canonical: s.canonical,
            ingress_use_waypoint: s.ingress_use_waypoint,
            visibility: s.visibility as i32,
        })
    }
}

impl LocalGateway {
    fn into_wire(self, object: &str, field: &'static str) -> Result<pb::GatewayAddress, WireError> {
        use pb::gateway_address::Destination;
        let Some((before, after)) = self.destination.split_once('/') else {
            return Err(WireError::Text {
                object: object.to_owned(),
                field,
                found: shorten(&self.destination),
                right: "namespace/hostname or network/address",
            });
        };
        let destination = match after.parse::<IpAddr>() {
            Ok(ip) => Destination::Address(pb::NetworkAddress {
                network: before.to_owned(),
                address: octets(ip),
                length: None,
            }),
            Err(_) => Destination::Hostname(pb::NamespacedHostname {
                namespace: before.to_owned(),
                hostname: after.to_owned(),
            }),
        };
        let hbone_mtls_port = self.hbone_mtls_port.into();
        Ok(pb::GatewayAddress { hbone_mtls_port, destination: Some(destination) })
    }
}

fn wire_vip(object: &str, text: &str) -> Result<pb::NetworkAddress, WireError> {
    let wrong = || WireError::Text {
        object: object.to_owned(),
        field: "vips",
        found: shorten(text),
        right: "network/address or network/address/length",
    };
    let (network, rest) = text.split_once('/').ok_or_else(wrong)?;
    let (address, length) = match rest.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().map_err(|_| wrong())?)),
        None => (rest, None),
    };
    let address = octets(address.parse().map_err(|_| wrong())?);
    Ok(pb::NetworkAddress { network: network.to_owned(), address, length })
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn port_map(ports: &[Port]) -> BTreeMap<u16, u16> {
    ports.iter().map(|port| (port.service, port.target)).collect()
}

fn wire_ports(ports: &BTreeMap<u16, u16>) -> Vec<pb::Port> {
    let wire = |(service, target): (&u16, &u16)| pb::Port {
        service_port: (*service).into(),
        target_port: (*target).into(),
        app_protocol: 0,
    };
    ports.iter().map(wire).collect()
}
