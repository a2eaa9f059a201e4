//! The choice of an endpoint: pure (docs/wire.md, "Load balancing").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::resolve::{Unresolved, leads_elsewhere};
use hbone::wire::workload::{
    HealthPolicy, IpFamilies, Mode, Scope, Service, TunnelProtocol, Workload, WorkloadStatus,
};

use super::{Directory, Target};

/// Where to send a request.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Who serves; nobody that is known where the very address that was dialled is meant.
    pub workload: Option<Arc<Workload>>,
    /// Its address and port.
    pub address: SocketAddr,
    /// Who may answer; nobody else is spoken to.
    pub expected: Vec<SpiffeId>,
}

/// What was chosen: an endpoint, or one whose address DNS has.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// Ready to be dialled.
    Endpoint(Endpoint),
    /// To be resolved first.
    Named(Named),
}

/// An endpoint whose address DNS has.
#[derive(Clone, Debug)]
pub struct Named {
    workload: Arc<Workload>,
    port: u16,
    expected: Vec<SpiffeId>,
    families: IpFamilies,
}

impl Endpoint {
    /// The endpoint of a workload that was addressed itself.
    pub fn direct(workload: &Arc<Workload>, address: SocketAddr) -> Self {
        let expected = workload.identity.iter().cloned().collect();
        Self { workload: Some(Arc::clone(workload)), address, expected }
    }

    /// The very address that was dialled, of a service whose endpoints are what is dialled. None
    /// that leads back to the waypoint itself.
    pub fn dialled(service: &Service, target: &Target) -> Option<Self> {
        let Target::Service { service: own, address } = target else { return None };
        let usable = own.key == service.key && leads_elsewhere(address.ip());
        usable.then(|| Self { workload: None, address: *address, expected: Vec::new() })
    }

    /// Whether it is reached over HBONE.
    pub fn is_tunnelled(&self) -> bool {
        self.workload.as_ref().is_some_and(|w| w.tunnel == TunnelProtocol::Hbone)
    }
}

impl Named {
    /// The name to resolve. Of a wildcard it is the one that a request is for, if it is below
    /// it.
    ///
    /// # Errors
    /// If nothing says which name is meant.
    pub fn host(&self, asked: Option<&str>) -> Result<String, Unresolved> {
        let own = &*self.workload.hostname;
        let Some(below) = own.strip_prefix('*') else { return Ok(own.to_owned()) };
        let asked = asked.unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let fits = asked.len() > below.len() && asked.ends_with(below);
        if fits { Ok(asked) } else { Err(Unresolved::Wildcard) }
    }

    /// The endpoint at one of the addresses that the name has: none of `tried`, as `random`
    /// chooses, of the families that its service allows.
    ///
    /// # Errors
    /// If none can be used.
    pub fn at(
        &self,
        addresses: &[IpAddr],
        tried: &[SocketAddr],
        random: u64,
    ) -> Result<Endpoint, Unresolved> {
        let addresses = addresses.iter().map(IpAddr::to_canonical);
        let usable = addresses.filter(|ip| leads_elsewhere(*ip) && self.families.allows(*ip));
        let usable = usable.map(|ip| SocketAddr::new(ip, self.port));
        let usable: Vec<_> = usable.filter(|address| !tried.contains(address)).collect();
        let at = random.checked_rem(usable.len() as u64).ok_or(Unresolved::NoAddress)?;
        let address = usable.get(at as usize).copied().ok_or(Unresolved::NoAddress)?;
        let (workload, expected) = (Some(Arc::clone(&self.workload)), self.expected.clone());
        Ok(Endpoint { workload, address, expected })
    }
}

/// Chooses an endpoint of `service` for its port `port`, by health, locality as seen from
/// `own`, and weight; none of `tried`. `random` is any number.
pub fn choose(
    directory: &Directory,
    service: &Service,
    port: u16,
    own: Option<&Workload>,
    tried: &[SocketAddr],
    random: u64,
) -> Option<Chosen> {
    let usable = directory.endpoints(&service.key).iter().filter_map(|workload| {
        let healthy = workload.status == WorkloadStatus::Healthy
            || service.load_balancing.health == HealthPolicy::AllowAll;
        let at = place(workload, service, port)?;
        // No way leads to another network, and its addresses may mean something else here.
        let here = own.is_none_or(|own| own.network == workload.network);
        let was_tried = matches!(at, Place::At(address) if tried.contains(&address));
        (healthy && here && workload.capacity > 0 && !was_tried).then_some((workload, at))
    });
    let ranked: Vec<_> =
        usable.map(|(workload, at)| (rank(service, own, workload), workload, at)).collect();
    let wanted = match service.load_balancing.mode {
        Mode::Standard | Mode::Passthrough => None,
        Mode::Strict => Some(service.load_balancing.preference.len()),
        Mode::Failover => ranked.iter().map(|(rank, ..)| *rank).max(),
    };
    let best = ranked.iter().filter(|(rank, ..)| wanted.is_none_or(|wanted| *rank == wanted));
    let total: u64 = best.clone().map(|(_, workload, _)| u64::from(workload.capacity)).sum();
    let mut left = random.checked_rem(total)?;
    let (_, workload, at) = best.into_iter().find(|(_, workload, _)| {
        let weight = u64::from(workload.capacity);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })?;
    let named = service.subject_alt_names.iter();
    let expected = workload.identity.iter().chain(named).cloned().collect();
    let workload = Arc::clone(workload);
    Some(match *at {
        Place::At(address) => {
            Chosen::Endpoint(Endpoint { workload: Some(workload), address, expected })
        }
        Place::Named(port) => {
            Chosen::Named(Named { workload, port, expected, families: service.ip_families })
        }
    })
}

/// Where a workload serves a service.
#[derive(Clone, Copy)]
enum Place {
    At(SocketAddr),
    /// At this port, where DNS says.
    Named(u16),
}

fn place(workload: &Workload, service: &Service, port: u16) -> Option<Place> {
    let target =
        workload.membership(&service.key)?.target(port).or_else(|| service.target(port))?;
    let allowed = |ip: &&IpAddr| service.ip_families.allows(**ip);
    match workload.addresses.iter().find(allowed) {
        Some(ip) => Some(Place::At(SocketAddr::new(*ip, target))),
        None => (!workload.hostname.is_empty()).then_some(Place::Named(target)),
    }
}

/// How many leading scopes of the preference both share.
fn rank(service: &Service, own: Option<&Workload>, endpoint: &Workload) -> usize {
    let Some(own) = own else { return 0 };
    let same = |scope: &&Scope| match scope {
        Scope::Region => own.locality.region == endpoint.locality.region,
        Scope::Zone => own.locality.zone == endpoint.locality.zone,
        Scope::Subzone => own.locality.subzone == endpoint.locality.subzone,
        Scope::Node => own.node == endpoint.node,
        Scope::Cluster => own.cluster == endpoint.cluster,
        Scope::Network => own.network == endpoint.network,
    };
    service.load_balancing.preference.iter().take_while(same).count()
}

#[cfg(test)]
mod tests;
