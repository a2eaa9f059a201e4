//! The choice of an endpoint: pure (docs/wire.md, "Load balancing").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::wire::workload::{
    HealthPolicy, Mode, Scope, Service, TunnelProtocol, Workload, WorkloadStatus,
};

use super::Directory;

/// Where to send a request.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Who serves.
    pub workload: Arc<Workload>,
    /// Its address and port.
    pub address: SocketAddr,
    /// Who may answer; nobody else is spoken to.
    pub expected: Vec<SpiffeId>,
}

impl Endpoint {
    /// The endpoint of a workload that was addressed itself.
    pub fn direct(workload: &Arc<Workload>, address: SocketAddr) -> Self {
        let expected = workload.identity.iter().cloned().collect();
        Self { workload: Arc::clone(workload), address, expected }
    }

    /// Whether it is reached over HBONE.
    pub fn is_tunnelled(&self) -> bool {
        self.workload.tunnel == TunnelProtocol::Hbone
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
) -> Option<Endpoint> {
    let usable = directory.endpoints(&service.key).iter().filter_map(|workload| {
        let healthy = workload.status == WorkloadStatus::Healthy
            || service.load_balancing.health == HealthPolicy::AllowAll;
        let address = address(workload, service, port)?;
        (healthy && workload.capacity > 0 && !tried.contains(&address))
            .then_some((workload, address))
    });
    let ranked: Vec<_> = usable
        .map(|(workload, address)| (rank(service, own, workload), workload, address))
        .collect();
    let wanted = match service.load_balancing.mode {
        Mode::Standard | Mode::Passthrough => None,
        Mode::Strict => Some(service.load_balancing.preference.len()),
        Mode::Failover => ranked.iter().map(|(rank, ..)| *rank).max(),
    };
    let best = ranked.iter().filter(|(rank, ..)| wanted.is_none_or(|wanted| *rank == wanted));
    let total: u64 = best.clone().map(|(_, workload, _)| u64::from(workload.capacity)).sum();
    let mut left = random.checked_rem(total)?;
    let (_, workload, address) = best.into_iter().find(|(_, workload, _)| {
        let weight = u64::from(workload.capacity);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })?;
    let named = service.subject_alt_names.iter();
    let expected = workload.identity.iter().chain(named).cloned().collect();
    Some(Endpoint { workload: Arc::clone(workload), address: *address, expected })
}

fn address(workload: &Workload, service: &Service, port: u16) -> Option<SocketAddr> {
    let target =
        workload.membership(&service.key)?.target(port).or_else(|| service.target(port))?;
    let allowed = |ip: &&IpAddr| service.ip_families.allows(**ip);
    let ip = workload.addresses.iter().find(allowed)?;
    Some(SocketAddr::new(*ip, target))
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
