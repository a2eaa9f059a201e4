//! From a chosen workload to an address of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::resolve::{Unresolved, leads_elsewhere};
use hbone::wire::workload::{HBONE_PORT, IpFamilies, Service, TunnelProtocol, Workload};
use rand::Rng;

use super::{Outbound, Plain, Refusal, Tunnel};

/// How the chosen workload is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Hbone { port: u16 },
    Waypoint { port: u16, authority: SocketAddr },
    Plain { port: u16 },
}

/// A chosen workload, all but its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    workload: Arc<Workload>,
    service: Option<Arc<Service>>,
    expected: Vec<SpiffeId>,
    way: Way,
}

/// A hop that waits for the addresses of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    hop: Hop,
    dialled: IpAddr,
    families: Option<IpFamilies>,
}

impl Hop {
    /// Straight to an endpoint: HBONE if it speaks it, otherwise plain.
    pub(super) fn direct(
        workload: &Arc<Workload>,
        service: Option<&Arc<Service>>,
        port: u16,
    ) -> Self {
        let way = match workload.tunnel {
            TunnelProtocol::Hbone => Way::Hbone { port },
            TunnelProtocol::None => Way::Plain { port },
        };
        Self::new(workload, service, service, way)
    }

    /// To `workload`, chosen as an endpoint of `through`, for a client of `service`.
    ///
    /// Who may answer: the workload, or one of the names of the service it was chosen
    /// through (docs/wire.md, "Expected identities").
    pub(super) fn new(
        workload: &Arc<Workload>,
        through: Option<&Arc<Service>>,
        service: Option<&Arc<Service>>,
        way: Way,
    ) -> Self {
        let names = through.into_iter().flat_map(|service| service.subject_alt_names.iter());
        let mut expected: Vec<SpiffeId> = workload.identity.iter().chain(names).cloned().collect();
        expected.sort_unstable();
        expected.dedup();
        Self { workload: Arc::clone(workload), service: service.cloned(), expected, way }
    }

    /// Chooses the address: the one dialled if it is the workload's own, else one that the
    /// service's families allow, the dialled family first, else the host name's.
    pub(super) fn go(self, dialled: SocketAddr, families: Option<IpFamilies>) -> Outbound {
        let dialled = dialled.ip();
        if self.workload.has_address(dialled) {
            return self.at(dialled);
        }
        let addresses = self.workload.addresses.iter().copied();
        let mut allowed = addresses.filter(|ip| families.is_none_or(|f| f.allows(*ip)));
        let best = allowed.clone().find(|ip| ip.is_ipv4() == dialled.is_ipv4());
        if let Some(ip) = best.or_else(|| allowed.next()) {
            return self.at(ip);
        }
        if self.workload.hostname.is_empty() {
            return Outbound::Refuse(Refusal::NoAddress(self.workload.uid.clone()));
        }
        Outbound::Resolve(Box::new(Resolve { hop: self, dialled, families }))
    }

    fn at(self, ip: IpAddr) -> Outbound {
        let Self { workload, service, expected, way } = self;
        if expected.is_empty() && !matches!(way, Way::Plain { .. }) {
            return Outbound::Refuse(Refusal::NoIdentity(workload.uid.clone()));
        }
        let to = |port| SocketAddr::new(ip, port);
        match way {
            Way::Plain { port } => {
                Outbound::Plain(Plain { target: to(port), workload: Some(workload), service })
            }
            Way::Hbone { port } => {
                let (target, authority) = (to(HBONE_PORT), to(port));
                Outbound::Hbone(Tunnel { target, authority, expected, workload, service })
            }
            Way::Waypoint { port, authority } => {
                let target = to(port);
                Outbound::Waypoint(Tunnel { target, authority, expected, workload, service })
            }
        }
    }
}

impl Resolve {
    /// The name to resolve.
    pub fn hostname(&self) -> &Arc<str> {
        &self.hop.workload.hostname
    }

    /// The workload that has it.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.hop.workload
    }

    /// The service that the client addressed.
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.hop.service.as_ref()
    }

    /// What becomes of the connection if the name has no address.
    pub fn failed(&self, why: Unresolved) -> Outbound {
        Outbound::Refuse(Refusal::NotResolved { name: Arc::clone(self.hostname()), why })
    }

    /// Goes on with the addresses that the name has: one at random, of those that the
    /// service's families allow, the dialled family first. No loopback or unspecified address
    /// is taken from DNS: it would lead back into the client's own pod.
    pub fn answered<R: Rng + ?Sized>(self, addresses: &[IpAddr], rng: &mut R) -> Outbound {
        let usable = addresses.iter().map(IpAddr::to_canonical).filter(|ip| {
            leads_elsewhere(*ip) && self.families.is_none_or(|families| families.allows(*ip))
        });
        let (same, other): (Vec<_>, Vec<_>) =
            usable.partition(|ip| ip.is_ipv4() == self.dialled.is_ipv4());
        let from = if same.is_empty() { other } else { same };
        let chosen = (!from.is_empty()).then(|| rng.random_range(0..from.len()));
        match chosen.and_then(|at| from.get(at)) {
            Some(ip) => self.hop.at(*ip),
            None => self.failed(Unresolved::NoAddress),
        }
    }
}
