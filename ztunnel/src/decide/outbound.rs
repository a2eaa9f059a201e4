//! Where a connection of a local workload goes (docs/wire.md, "Outbound").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::resolve::Unresolved;
use hbone::wire::workload::{GatewayAddress, Mode, Service, Workload};
use rand::Rng;

use self::balance::{NoEndpoint, Pick};
use self::hop::{Hop, Way};
use super::{OwnPorts, canonical, gateway};
use crate::state::{Found, Snapshot};

pub use self::hop::Resolve;

mod balance;
mod hop;

/// A connection that a local workload opened.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The workload whose network namespace it came from.
    pub source: &'a Arc<Workload>,
    /// The address it came from.
    pub source_ip: IpAddr,
    /// What it dialled: the original destination.
    pub destination: SocketAddr,
    /// The uids of endpoints that did not answer this connection already.
    pub tried: &'a [Arc<str>],
    /// The proxy's own ports.
    pub own_ports: OwnPorts,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// In a tunnel to the workload.
    Hbone(Tunnel),
    /// In a tunnel to a waypoint, which will send it on.
    Waypoint(Tunnel),
    /// As plain TCP, to what does not speak HBONE or is not known.
    Plain(Plain),
    /// As soon as a host name is resolved.
    Resolve(Box<Resolve>),
    /// Nowhere.
    Refuse(Refusal),
}

/// A tunnel to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What TCP connects to.
    pub target: SocketAddr,
    /// The `:authority` of the CONNECT.
    pub authority: SocketAddr,
    /// Who may answer; never empty.
    pub expected: Vec<SpiffeId>,
    /// The next hop: the endpoint or the waypoint's instance.
    pub workload: Arc<Workload>,
    /// The service that the client addressed.
    pub service: Option<Arc<Service>>,
}

/// A plain connection to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// What TCP connects to.
    pub target: SocketAddr,
    /// The workload there, if known.
    pub workload: Option<Arc<Workload>>,
    /// The service that the client addressed; none for a passthrough one.
    pub service: Option<Arc<Service>>,
}

/// Why a connection goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client dialled the proxy itself.
    #[error("{0} is the proxy itself")]
    SelfCall(SocketAddr),
    /// The client's workload is not known.
    #[error("the client's workload is not known")]
    UnknownSource,
    /// A waypoint is named, but there is none, or none that can be used. Never bypassed.
    #[error("waypoint of {0} is absent or has no usable instance")]
    NoWaypoint(Arc<str>),
    /// The service has no endpoint that can be used.
    #[error("service {0} has no usable endpoint")]
    NoEndpoint(Arc<str>),
    /// Every endpoint that could be used was tried.
    #[error("every endpoint of {0} was tried")]
    AllTried(Arc<str>),
    /// No endpoint has a port behind the one that was dialled.
    #[error("service {service} has no port {port}")]
    NoPort {
        /// The service.
        service: Arc<str>,
        /// The port dialled.
        port: u16,
    },
    /// The only way leads to another network, and this proxy has no gateway tunnels. It is
    /// never taken in plain text.
    #[error("{0} is on another network, to which no way is supported")]
    OtherNetworkNotSupported(Arc<str>),
    /// The workload has no address that may be used, and no host name.
    #[error("workload {0} has no usable address")]
    NoAddress(Arc<str>),
    /// The workload's host name did not resolve to a usable address.
    #[error("host name {name} is not resolved: {why}")]
    NotResolved {
        /// The name.
        name: Arc<str>,
        /// Why not.
        why: Unresolved,
    },
    /// Nobody could be verified as the peer.
    #[error("workload {0} has no identity to verify")]
    NoIdentity(Arc<str>),
}

/// Decides where a connection goes. The rows are those of docs/wire.md, "Outbound"; the first
/// that fits wins.
pub fn outbound<R: Rng + ?Sized>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    rng: &mut R,
) -> Outbound {
    let request = Request { destination: canonical(request.destination), ..*request };
    let dialled = request.destination;
    if dialled.ip().is_loopback() && request.own_ports.contains(dialled.port()) {
        return Outbound::Refuse(Refusal::SelfCall(dialled));
    }
    let at = snapshot.here(dialled.ip());
    let namespace = &*request.source.namespace;
    let upstream = snapshot.upstream(&at, namespace);
    let dialled_service = match (snapshot.address(&at, namespace), upstream) {
        (Some(Found::Service(service)), _) => Some(service),
        // What runs outside the mesh often has the address of its service. It is no way around.
        (Some(Found::Workload(workload)), Some(Found::Service(service))) if !workload.is_pod() => {
            Some(service)
        }
        _ => None,
    };
    if let Some(service) = dialled_service
        && let Some(waypoint) = service_waypoint(service, rng)
    {
        return to_waypoint(snapshot, &request, waypoint, Some(service), rng);
    }
    match upstream {
        Some(Found::Service(service)) if service.load_balancing.mode == Mode::Passthrough => {
            passthrough(dialled)
        }
        Some(Found::Service(service)) => to_endpoint(snapshot, &request, service, rng),
        Some(Found::Workload(workload)) => to_workload(snapshot, &request, workload, rng),
        None => passthrough(dialled),
    }
}

fn passthrough(target: SocketAddr) -> Outbound {
    Outbound::Plain(Plain { target, workload: None, service: None })
}

/// A workload dialled by its address, through its waypoint unless that is who calls.
fn to_workload<R: Rng + ?Sized>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    workload: &Arc<Workload>,
    rng: &mut R,
) -> Outbound {
    if let Some(waypoint) = &workload.waypoint
        && !gateway::is_source(snapshot, waypoint, request.source, request.source_ip)
    {
        return to_waypoint(snapshot, request, waypoint, None, rng);
    }
    if request.tried.contains(&workload.uid) {
        return Outbound::Refuse(Refusal::AllTried(Arc::clone(&workload.uid)));
    }
    Hop::direct(workload, None, request.destination.port()).go(request.destination, None)
}

/// One of a service's endpoints.
fn to_endpoint<R: Rng + ?Sized>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    service: &Arc<Service>,
    rng: &mut R,
) -> Outbound {
    let port = request.destination.port();
    let pick = Pick { snapshot, source: request.source, tried: request.tried, service, port };
    match pick.one(rng) {
        Ok((workload, port)) => Hop::direct(workload, Some(service), port)
            .go(request.destination, Some(service.ip_families)),
        Err(why) => Outbound::Refuse(refusal(why, service, port)),
    }
}

fn refusal(why: NoEndpoint, service: &Service, port: u16) -> Refusal {
    let name = service.key.to_string().into();
    match why {
        NoEndpoint::None => Refusal::NoEndpoint(name),
        NoEndpoint::Tried => Refusal::AllTried(name),
        NoEndpoint::Port => Refusal::NoPort { service: name, port },
        NoEndpoint::OtherNetwork => Refusal::OtherNetworkNotSupported(name),
    }
}

/// An instance of a waypoint; the client's service and destination stay what they are.
fn to_waypoint<R: Rng + ?Sized>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    waypoint: &GatewayAddress,
    service: Option<&Arc<Service>>,
    rng: &mut R,
) -> Outbound {
    let dialled = request.destination;
    let name = || match service {
        Some(service) => service.key.to_string().into(),
        None => dialled.ip().to_string().into(),
    };
    let instance = match gateway::resolve(snapshot, waypoint, &request.source.namespace) {
        None => Err(Refusal::NoWaypoint(name())),
        Some(Found::Workload(instance)) if instance.network != snapshot.place().network => {
            Err(Refusal::OtherNetworkNotSupported(name()))
        }
        Some(Found::Workload(instance)) if request.tried.contains(&instance.uid) => {
            Err(Refusal::AllTried(name()))
        }
        Some(Found::Workload(instance)) => Ok((instance, waypoint.port, None)),
        Some(Found::Service(own)) => {
            let (source, port) = (request.source, waypoint.port);
            let pick = Pick { snapshot, source, tried: request.tried, service: own, port };
            match pick.one(rng) {
                Ok((instance, port)) => Ok((instance, port, Some(own))),
                Err(NoEndpoint::OtherNetwork) => Err(Refusal::OtherNetworkNotSupported(name())),
                Err(NoEndpoint::Tried) => Err(Refusal::AllTried(name())),
                Err(NoEndpoint::None | NoEndpoint::Port) => Err(Refusal::NoWaypoint(name())),
            }
        }
    };
    match instance {
        Err(refusal) => Outbound::Refuse(refusal),
        Ok((instance, port, own)) => {
            let way = Way::Waypoint { port, authority: dialled };
            Hop::new(instance, own, service, way).go(dialled, own.map(|own| own.ip_families))
        }
    }
}

/// The waypoint of traffic to a service: one of several by weight, or the one.
fn service_waypoint<'a, R: Rng + ?Sized>(
    service: &'a Service,
    rng: &mut R,
) -> Option<&'a GatewayAddress> {
    let weighted = service.weighted_waypoints.iter();
    let chosen = balance::weighted(weighted, |waypoint| waypoint.weight, rng);
    chosen.map(|waypoint| &waypoint.destination).or(service.waypoint.as_ref())
}

#[cfg(test)]
mod tests;
