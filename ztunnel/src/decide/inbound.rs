//! What a connection to a local workload asks for (docs/wire.md, "Inbound").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hbone::matching::Caller;
use hbone::wire::workload::{
    ApplicationProtocol, ApplicationTunnel, GatewayAddress, Service, Workload,
};

use self::authority::parse;
use super::authorize::{Call, Denied, Permit, authorize};
use super::{OwnPorts, canonical, gateway};
use crate::state::{Found, Snapshot};

pub use self::authority::Authority;

mod authority;

/// A request of a tunnel's peer.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// The method.
    pub method: &'a http::Method,
    /// The `:authority`, if there is one.
    pub authority: Option<&'a str>,
    /// The local address of the connection that carries the tunnel.
    pub local: SocketAddr,
    /// The proxy's own ports.
    pub own_ports: OwnPorts,
}

/// A request that is in order; policy has not been asked.
#[derive(Clone, Debug)]
pub struct Inbound {
    workload: Arc<Workload>,
    service: Option<Arc<Service>>,
    destination: SocketAddr,
    tunnel: Option<ApplicationTunnel>,
    header: Option<SocketAddr>,
}

/// Why a request is not in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a CONNECT.
    #[error("method is {0}; only CONNECT is served")]
    Method(String),
    /// No authority, or none that can be read.
    #[error(":authority is {0:?}; write IP:port, [IPv6]:port or host:port")]
    Authority(String),
    /// The local workload is not known.
    #[error("the local workload is not known")]
    UnknownWorkload,
    /// No service has that host name.
    #[error("no service has the host name {0:?}")]
    UnknownHost(String),
    /// The address is not this workload's.
    #[error("{0} is not served here")]
    NotHere(SocketAddr),
    /// The service has no such port, or the port is 0.
    #[error("{0} leads to no port here")]
    NoPort(String),
    /// The port is one of the proxy's own.
    #[error("port {0} is the proxy's own")]
    OwnPort(u16),
    /// The PROXY header needs an address and the service has none.
    #[error("service {0} has no address for the PROXY header")]
    NoVip(String),
}

impl Refused {
    /// The status of the answer (docs/wire.md, "Responses").
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Method(_) | Self::Authority(_) | Self::NotHere(_) => {
                http::StatusCode::BAD_REQUEST
            }
            Self::UnknownWorkload
            | Self::UnknownHost(_)
            | Self::NoPort(_)
            | Self::OwnPort(_)
            | Self::NoVip(_) => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Checks a tunnel's request against `workload`, whose network namespace accepted it. The
/// address that will be dialled is always that of the connection, never the authority's.
///
/// # Errors
/// The first check that fails, in the order of docs/wire.md, "Inbound".
pub fn inbound(
    snapshot: &Snapshot,
    workload: Option<&Arc<Workload>>,
    connect: &Connect<'_>,
) -> Result<Inbound, Refused> {
    if connect.method != http::Method::CONNECT {
        return Err(Refused::Method(connect.method.as_str().chars().take(32).collect()));
    }
    let authority = parse(connect.authority)?;
    let workload = workload.ok_or(Refused::UnknownWorkload)?;
    let local = canonical(connect.local);
    let (service, port) = match &authority {
        Authority::Address(target) => {
            if !serves(snapshot, workload, *target, local.ip()) {
                return Err(Refused::NotHere(*target));
            }
            (None, target.port())
        }
        Authority::Host { host, port } => {
            let service = snapshot.service_named(host, &workload.namespace);
            let service = service.ok_or_else(|| Refused::UnknownHost(host.clone()))?;
            let own = workload.membership(&service.key).and_then(|member| member.target(*port));
            let target = own.or_else(|| service.target(*port)).unwrap_or(0);
            (Some(service), target)
        }
    };
    if port == 0 {
        return Err(Refused::NoPort(authority.to_string()));
    }
    if connect.own_ports.contains(port) {
        return Err(Refused::OwnPort(port));
    }
    let tunnel = workload.application_tunnel;
    let header = match tunnel {
        Some(ApplicationTunnel { protocol: ApplicationProtocol::Proxy, .. }) => {
            Some(header_destination(snapshot, &authority, service)?)
        }
        _ => None,
    };
    let destination = SocketAddr::new(local.ip(), tunnel.map_or(port, |tunnel| tunnel.port));
    let (workload, service) = (Arc::clone(workload), service.cloned());
    Ok(Inbound { workload, service, destination, tunnel, header })
}

/// Checks a plain connection that was redirected on its way to `original`
/// (docs/wire.md, "Plaintext inbound").
///
/// # Errors
/// An unknown workload, or one of the proxy's own ports.
pub fn plaintext(
    workload: Option<&Arc<Workload>>,
    original: SocketAddr,
    own_ports: OwnPorts,
) -> Result<Inbound, Refused> {
    let destination = canonical(original);
    if own_ports.contains(destination.port()) {
        return Err(Refused::OwnPort(destination.port()));
    }
    let workload = Arc::clone(workload.ok_or(Refused::UnknownWorkload)?);
    Ok(Inbound { workload, service: None, destination, tunnel: None, header: None })
}

impl Inbound {
    /// Asks the policies; the permit is leave to dial.
    ///
    /// # Errors
    /// The policy that refuses.
    pub fn authorize(
        &self,
        snapshot: &Snapshot,
        caller: Caller,
        source: IpAddr,
    ) -> Result<Permit, Denied> {
        authorize(snapshot, &self.workload, self.call(caller, source))
    }

    /// What policies look at.
    pub fn call(&self, caller: Caller, source: IpAddr) -> Call {
        Call::new(caller, source, self.destination)
    }

    /// The local workload.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The service that a host name named.
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.service.as_ref()
    }

    /// The address and port that policies judge: this workload's own.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// The destination that a PROXY header in front of the bytes names, if there is to be one.
    pub fn proxy_header(&self) -> Option<SocketAddr> {
        self.header
    }

    /// What to dial. An application tunnel with a PROXY header is on loopback, if `loopback`
    /// says so (`LOCALHOST_APP_TUNNEL`).
    pub fn dial(&self, permit: &Permit, loopback: bool) -> SocketAddr {
        let allowed = permit.call().destination();
        let proxied = self.tunnel.is_some_and(|t| t.protocol == ApplicationProtocol::Proxy);
        if !(proxied && loopback) {
            return allowed;
        }
        let ip = match allowed {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(ip, allowed.port())
    }
}

/// Whether `target` may be asked of `workload`: its own address, anything if an application
/// tunnel takes it, or what has this workload as its waypoint.
fn serves(snapshot: &Snapshot, workload: &Workload, target: SocketAddr, local: IpAddr) -> bool {
    let ip = target.ip();
    let mapped = ip.to_canonical() != ip;
    if mapped || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    if ip == local || workload.application_tunnel.is_some() {
        return true;
    }
    let is_waypoint = |waypoint: &Option<GatewayAddress>| {
        waypoint.as_ref().is_some_and(|w| gateway::is_instance(snapshot, w, workload))
    };
    match snapshot.address(&snapshot.here(ip), &workload.namespace) {
        Some(Found::Workload(found)) => is_waypoint(&found.waypoint),
        Some(Found::Service(found)) => is_waypoint(&found.waypoint),
        None => false,
    }
}

/// What a PROXY header says was dialled: the authority, or an address of the service it
/// names, the own network and IPv4 first.
fn header_destination(
    snapshot: &Snapshot,
    authority: &Authority,
    service: Option<&Arc<Service>>,
) -> Result<SocketAddr, Refused> {
    let port = match authority {
        Authority::Address(address) => return Ok(*address),
        Authority::Host { port, .. } => *port,
    };
    let vips = service.into_iter().flat_map(|service| service.vips.iter());
    let here = &snapshot.place().network;
    let best = vips.min_by_key(|vip| (vip.network != *here, vip.address.is_ipv6()));
    best.map(|vip| SocketAddr::new(vip.address, port))
        .ok_or_else(|| Refused::NoVip(authority.to_string()))
}

/// The service that a connection to `port` of `workload` is counted for: of those that the
/// workload belongs to, the one that the client says it addressed, else the first with that
/// port behind one of its ports. A name that the workload does not serve is not believed.
pub fn served_service<'a>(
    snapshot: &'a Snapshot,
    workload: &Workload,
    forwarded_host: Option<&str>,
    port: u16,
) -> Option<&'a Arc<Service>> {
    let served =
        || workload.services.iter().filter_map(|m| Some((m, snapshot.service(&m.service)?)));
    let named = served().find(|(member, _)| Some(&*member.service.hostname) == forwarded_host);
    let by_port = || {
        served().find(|(member, service)| {
            let own = member.ports.iter().any(|p| p.target == port);
            own || service
                .ports
                .iter()
                .any(|p| p.target == port && member.target(p.service).is_none_or(|own| own == port))
        })
    };
    named.or_else(by_port).map(|(_, service)| service)
}

#[cfg(test)]
mod tests;
