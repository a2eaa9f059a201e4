//! The wire messages to the types, each field checked.

use std::sync::Arc;

use super::{
    AppProtocol, ApplicationProtocol, ApplicationTunnel, GatewayAddress, GatewayDestination,
    HBONE_PORT, HealthPolicy, IpFamilies, LoadBalancing, Locality, Membership, Mode, NetworkMode,
    Port, Scope, Service, TunnelProtocol, Visibility, WeightedWaypoint, Workload, WorkloadKind,
    WorkloadStatus,
};
use crate::identity::SpiffeId;
use crate::wire::address::{self, NamespacedHostname, NetworkAddress, NetworkBlock};
use crate::wire::error::{WireError, shorten};
use crate::wire::intern::Interner;
use crate::wire::pb::istio::workload as pb;

/// What an empty cluster id on the wire means.
const DEFAULT_CLUSTER: &str = "Kubernetes";
/// What an empty trust domain on the wire means.
const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";
/// What an empty service account on the wire means.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// Virtual addresses, and blocks of them.
type Vips = (Box<[NetworkAddress]>, Box<[NetworkBlock]>);

/// The resource that is read, for its errors, and the shared texts.
struct Reader<'a> {
    object: String,
    interner: &'a mut Interner,
}

impl Workload {
    /// Checks a workload of the wire.
    ///
    /// # Errors
    /// The causes for a NACK of docs/wire.md, "Refused resources".
    pub fn from_wire(w: &pb::Workload, interner: &mut Interner) -> Result<Self, WireError> {
        let mut r = Reader { object: format!("workload {}", shorten(&w.uid)), interner };
        let trust_domain = or(&w.trust_domain, DEFAULT_TRUST_DOMAIN);
        let account = or(&w.service_account, DEFAULT_SERVICE_ACCOUNT);
        Ok(Self {
            uid: w.uid.as_str().into(),
            name: w.name.as_str().into(),
            namespace: r.text(&w.namespace),
            addresses: r.addresses(&w.addresses)?,
            network: r.text(&w.network),
            tunnel: r.tunnel(w.tunnel_protocol)?,
            trust_domain: r.text(trust_domain),
            service_account: r.text(account),
            identity: r.interner.identity(trust_domain, &w.namespace, account),
            waypoint: r.optional_gateway("waypoint", w.waypoint.as_ref())?,
            node: r.text(&w.node),
            canonical_name: r.text(&w.canonical_name),
            canonical_revision: r.text(&w.canonical_revision),
            kind: kind(w.workload_type),
            workload_name: r.text(&w.workload_name),
            native_tunnel: w.native_tunnel,
            policies: w.authorization_policies.iter().map(|p| r.text(p)).collect(),
            status: r.status(w.status)?,
            cluster: r.text(or(&w.cluster_id, DEFAULT_CLUSTER)),
            network_gateway: r.optional_gateway("network_gateway", w.network_gateway.as_ref())?,
            hostname: r.text(&w.hostname),
            services: r.memberships(w)?,
            application_tunnel: r.application_tunnel(w.application_tunnel.as_ref())?,
            locality: r.locality(w.locality.as_ref()),
            network_mode: r.network_mode(w.network_mode)?,
            capacity: w.capacity.unwrap_or(1),
        })
    }
}

impl Service {
    /// Checks a service of the wire. Names in `subject_alt_names` that are no identity of a
    /// mesh are left out.
    ///
    /// # Errors
    /// The causes for a NACK of docs/wire.md, "Refused resources".
    pub fn from_wire(s: &pb::Service, interner: &mut Interner) -> Result<Self, WireError> {
        let object = format!("service {}/{}", shorten(&s.namespace), shorten(&s.hostname));
        let mut r = Reader { object, interner };
        let key = r.hostname(&s.namespace, &s.hostname);
        let (vips, blocks) = r.vips(&s.addresses)?;
        Ok(Self {
            key,
            name: r.text(&s.name),
            vips,
            blocks,
            ports: ports(&s.ports),
            subject_alt_names: s.subject_alt_names.iter().filter_map(|n| san(n)).collect(),
            waypoint: r.optional_gateway("waypoint", s.waypoint.as_ref())?,
            weighted_waypoints: r.weighted(&s.weighted_waypoints)?,
            load_balancing: r.load_balancing(s.load_balancing.as_ref())?,
            ip_families: r.ip_families(s.ip_families)?,
            canonical: s.canonical,
            ingress_use_waypoint: s.ingress_use_waypoint,
            visibility: visibility(s.visibility),
        })
    }
}

impl TryFrom<pb::Workload> for Workload {
    type Error = WireError;

    fn try_from(w: pb::Workload) -> Result<Self, WireError> {
        Self::from_wire(&w, &mut Interner::default())
    }
}

impl TryFrom<pb::Service> for Service {
    type Error = WireError;

    fn try_from(s: pb::Service) -> Result<Self, WireError> {
        Self::from_wire(&s, &mut Interner::default())
    }
}

impl Reader<'_> {
    fn text(&mut self, text: &str) -> Arc<str> {
        self.interner.text(text)
    }

    fn hostname(&mut self, namespace: &str, hostname: &str) -> NamespacedHostname {
        NamespacedHostname { namespace: self.text(namespace), hostname: self.text(hostname) }
    }

    fn unknown(&self, field: &'static str, value: i32, known: &'static str) -> WireError {
        WireError::UnknownValue { object: self.object.clone(), field, value, known }
    }

    fn addresses(&self, all: &[Vec<u8>]) -> Result<Box<[std::net::IpAddr]>, WireError> {
        let read = |bytes: &Vec<u8>| {
            address::ip(bytes).ok_or_else(|| WireError::AddressLength {
                object: self.object.clone(),
                field: "addresses",
                length: bytes.len(),
            })
        };
        all.iter().map(read).collect()
    }

    fn vips(&mut self, all: &[pb::NetworkAddress]) -> Result<Vips, WireError> {
        let (mut vips, mut blocks) = (Vec::new(), Vec::new());
        for vip in all {
            let block = address::block(&vip.address, vip.length)
                .map_err(|fault| fault.at(&self.object, "addresses"))?;
            let network = self.text(&vip.network);
            if block.prefix_len() == block.max_prefix_len() {
                vips.push(NetworkAddress { network, address: block.addr() });
            } else {
                blocks.push(NetworkBlock { network, block });
            }
        }
        Ok((vips.into(), blocks.into()))
    }

    fn tunnel(&self, value: i32) -> Result<TunnelProtocol, WireError> {
        match pb::TunnelProtocol::try_from(value) {
            Ok(pb::TunnelProtocol::None) => Ok(TunnelProtocol::None),
            Ok(pb::TunnelProtocol::Hbone) => Ok(TunnelProtocol::Hbone),
            Ok(pb::TunnelProtocol::LegacyIstioMtls) => {
                Err(WireError::LegacyTls { object: self.object.clone() })
            }
            Err(_) => Err(self.unknown("tunnel_protocol", value, "NONE 0, HBONE 1")),
        }
    }

    fn status(&self, value: i32) -> Result<WorkloadStatus, WireError> {
        match pb::WorkloadStatus::try_from(value) {
            Ok(pb::WorkloadStatus::Healthy) => Ok(WorkloadStatus::Healthy),
            Ok(pb::WorkloadStatus::Unhealthy) => Ok(WorkloadStatus::Unhealthy),
            Err(_) => Err(self.unknown("status", value, "HEALTHY 0, UNHEALTHY 1")),
        }
    }

    fn network_mode(&self, value: i32) -> Result<NetworkMode, WireError> {
        match pb::NetworkMode::try_from(value) {
            Ok(pb::NetworkMode::Standard) => Ok(NetworkMode::Standard),
            Ok(pb::NetworkMode::HostNetwork) => Ok(NetworkMode::HostNetwork),
            Err(_) => Err(self.unknown("network_mode", value, "STANDARD 0, HOST_NETWORK 1")),
        }
    }

    fn ip_families(&self, value: i32) -> Result<IpFamilies, WireError> {
        match pb::IpFamilies::try_from(value) {
            Ok(pb::IpFamilies::Automatic) => Ok(IpFamilies::Automatic),
            Ok(pb::IpFamilies::Ipv4Only) => Ok(IpFamilies::V4Only),
            Ok(pb::IpFamilies::Ipv6Only) => Ok(IpFamilies::V6Only),
            Ok(pb::IpFamilies::Dual) => Ok(IpFamilies::Dual),
            Err(_) => Err(self.unknown("ip_families", value, "0 to 3")),
        }
    }

    fn application_tunnel(
        &self,
        tunnel: Option<&pb::ApplicationTunnel>,
    ) -> Result<Option<ApplicationTunnel>, WireError> {
        let Some(tunnel) = tunnel else { return Ok(None) };
        let protocol = match pb::application_tunnel::Protocol::try_from(tunnel.protocol) {
            Ok(pb::application_tunnel::Protocol::None) => ApplicationProtocol::None,
            Ok(pb::application_tunnel::Protocol::Proxy) => ApplicationProtocol::Proxy,
            Err(_) => {
                let field = "application_tunnel.protocol";
                return Err(self.unknown(field, tunnel.protocol, "NONE 0, PROXY 1"));
            }
        };
        let port = self.port("application_tunnel.port", tunnel.port)?;
        Ok(Some(ApplicationTunnel { protocol, port }))
    }

    fn port(&self, field: &'static str, port: u32) -> Result<u16, WireError> {
        let object = || self.object.clone();
        u16::try_from(port).map_err(|_| WireError::Port { object: object(), field, port })
    }

    fn load_balancing(&self, lb: Option<&pb::LoadBalancing>) -> Result<LoadBalancing, WireError> {
        let Some(lb) = lb else { return Ok(LoadBalancing::default()) };
        let scopes = lb.routing_preference.iter();
        Ok(LoadBalancing {
            preference: scopes.map(|scope| self.scope(*scope)).collect::<Result<_, _>>()?,
            mode: self.mode(lb.mode)?,
            health: self.health(lb.health_policy)?,
        })
    }

    fn scope(&self, value: i32) -> Result<Scope, WireError> {
        use pb::load_balancing::Scope as Wire;
        match Wire::try_from(value) {
            Ok(Wire::Region) => Ok(Scope::Region),
            Ok(Wire::Zone) => Ok(Scope::Zone),
            Ok(Wire::Subzone) => Ok(Scope::Subzone),
            Ok(Wire::Node) => Ok(Scope::Node),
            Ok(Wire::Cluster) => Ok(Scope::Cluster),
            Ok(Wire::Network) => Ok(Scope::Network),
            Ok(Wire::UnspecifiedScope) | Err(_) => {
                Err(self.unknown("load_balancing.routing_preference", value, "1 to 6"))
            }
        }
    }

    fn mode(&self, value: i32) -> Result<Mode, WireError> {
        use pb::load_balancing::Mode as Wire;
        match Wire::try_from(value) {
            Ok(Wire::UnspecifiedMode) => Ok(Mode::Standard),
            Ok(Wire::Strict) => Ok(Mode::Strict),
            Ok(Wire::Failover) => Ok(Mode::Failover),
            Ok(Wire::Passthrough) => Ok(Mode::Passthrough),
            Err(_) => Err(self.unknown("load_balancing.mode", value, "0 to 3")),
        }
    }

    fn health(&self, value: i32) -> Result<HealthPolicy, WireError> {
        use pb::load_balancing::HealthPolicy as Wire;
        match Wire::try_from(value) {
            Ok(Wire::OnlyHealthy) => Ok(HealthPolicy::OnlyHealthy),
            Ok(Wire::AllowAll) => Ok(HealthPolicy::AllowAll),
            Err(_) => {
                let known = "ONLY_HEALTHY 0, ALLOW_ALL 1";
                Err(self.unknown("load_balancing.health_policy", value, known))
            }
        }
    }

    fn optional_gateway(
        &mut self,
        field: &'static str,
        gateway: Option<&pb::GatewayAddress>,
    ) -> Result<Option<GatewayAddress>, WireError> {
        gateway.map(|gateway| self.gateway(field, gateway)).transpose()
    }

    fn gateway(
        &mut self,
        field: &'static str,
        gateway: &pb::GatewayAddress,
    ) -> Result<GatewayAddress, WireError> {
        use pb::gateway_address::Destination as Wire;
        let destination = match &gateway.destination {
            Some(Wire::Hostname(name)) => {
                GatewayDestination::Hostname(self.hostname(&name.namespace, &name.hostname))
            }
            Some(Wire::Address(at)) => {
                let block = address::block(&at.address, at.length)
                    .map_err(|fault| fault.at(&self.object, field))?;
                let address = address::ip(&at.address).unwrap_or(block.addr());
                let network = self.text(&at.network);
                GatewayDestination::Address(NetworkAddress { network, address })
            }
            None => {
                return Err(WireError::NoDestination { object: self.object.clone(), field });
            }
        };
        let port = match self.port(field, gateway.hbone_mtls_port)? {
            0 => HBONE_PORT,
            port => port,
        };
        Ok(GatewayAddress { destination, port })
    }

    fn weighted(
        &mut self,
        all: &[pb::WeightedWaypoint],
    ) -> Result<Box<[WeightedWaypoint]>, WireError> {
        let mut waypoints = Vec::with_capacity(all.len());
        for one in all {
            let field = "weighted_waypoints";
            let destination = self.optional_gateway(field, one.destination.as_ref())?;
            let object = || self.object.clone();
            let destination =
                destination.ok_or_else(|| WireError::NoDestination { object: object(), field })?;
            waypoints.push(WeightedWaypoint { destination, weight: one.weight });
        }
        Ok(waypoints.into())
    }

    fn memberships(&mut self, w: &pb::Workload) -> Result<Box<[Membership]>, WireError> {
        let mut all = Vec::with_capacity(w.services.len());
        for (key, list) in &w.services {
            let Some((namespace, hostname)) = key.split_once('/') else {
                let object = self.object.clone();
                return Err(WireError::ServiceKey { object, key: shorten(key) });
            };
            let service = self.hostname(namespace, hostname);
            all.push(Membership { service, ports: ports(&list.ports) });
        }
        all.sort_unstable_by(|a, b| a.service.cmp(&b.service));
        Ok(all.into())
    }

    fn locality(&mut self, locality: Option<&pb::Locality>) -> Locality {
        let mut part = |get: fn(&pb::Locality) -> &str| self.text(locality.map_or("", get));
        Locality {
            region: part(|l| &l.region),
            zone: part(|l| &l.zone),
            subzone: part(|l| &l.subzone),
        }
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// Reads a port list; an entry that names no TCP port cannot be dialled and is left out.
fn ports(all: &[pb::Port]) -> Box<[Port]> {
    let read = |port: &pb::Port| {
        Some(Port {
            service: u16::try_from(port.service_port).ok()?,
            target: u16::try_from(port.target_port).ok()?,
            app: app_protocol(port.app_protocol),
        })
    };
    all.iter().filter_map(read).collect()
}

fn san(name: &str) -> Option<SpiffeId> {
    name.parse().inspect_err(|error| tracing::warn!(%error, "subject_alt_name ignored")).ok()
}

fn kind(value: i32) -> WorkloadKind {
    match pb::WorkloadType::try_from(value) {
        Ok(pb::WorkloadType::Deployment) | Err(_) => WorkloadKind::Deployment,
        Ok(pb::WorkloadType::Cronjob) => WorkloadKind::CronJob,
        Ok(pb::WorkloadType::Pod) => WorkloadKind::Pod,
        Ok(pb::WorkloadType::Job) => WorkloadKind::Job,
    }
}

fn visibility(value: i32) -> Visibility {
    match pb::service::Visibility::try_from(value) {
        Ok(pb::service::Visibility::Public) | Err(_) => Visibility::Public,
        Ok(pb::service::Visibility::Namespace) => Visibility::Namespace,
    }
}

fn app_protocol(value: i32) -> AppProtocol {
    match pb::AppProtocol::try_from(value) {
        Ok(pb::AppProtocol::Unknown) | Err(_) => AppProtocol::Unknown,
        Ok(pb::AppProtocol::Http11) => AppProtocol::Http11,
        Ok(pb::AppProtocol::Http2) => AppProtocol::Http2,
        Ok(pb::AppProtocol::Grpc) => AppProtocol::Grpc,
        Ok(pb::AppProtocol::Tcp) => AppProtocol::Tcp,
        Ok(pb::AppProtocol::Tls) => AppProtocol::Tls,
    }
}
