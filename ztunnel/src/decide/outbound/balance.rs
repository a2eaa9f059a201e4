//! Choosing an endpoint of a service (docs/wire.md, "Load balancing").

use std::sync::Arc;

use hbone::wire::workload::{HealthPolicy, Mode, Scope, Service, Workload, WorkloadStatus};
use rand::Rng;

use crate::state::Snapshot;

/// A choice among the endpoints of `service`.
pub(super) struct Pick<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) source: &'a Workload,
    pub(super) tried: &'a [Arc<str>],
    pub(super) service: &'a Service,
    /// The service port.
    pub(super) port: u16,
}

/// Why no endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEndpoint {
    /// None that may be used: none at all, unhealthy, or outside a strict preference.
    None,
    /// There were some, all tried.
    Tried,
    /// None has a port behind this service port.
    Port,
    /// There are some, all on other networks.
    OtherNetwork,
}

impl<'a> Pick<'a> {
    /// One endpoint and its own port.
    pub(super) fn one<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
    ) -> Result<(&'a Arc<Workload>, u16), NoEndpoint> {
        let mut why = NoEndpoint::None;
        let mut best = Vec::new();
        let mut best_rank = 0;
        for workload in self.snapshot.endpoints(&self.service.key) {
            match self.usable(workload) {
                Err(reason) => why = worse(why, reason),
                Ok((port, rank)) => {
                    if rank > best_rank {
                        best.clear();
                        best_rank = rank;
                    }
                    if rank == best_rank {
                        best.push((workload, port));
                    }
                }
            }
        }
        weighted(best.iter(), |(workload, _)| workload.capacity, rng).copied().ok_or(why)
    }

    /// The endpoint's port and rank, if it may be chosen.
    fn usable(&self, workload: &Workload) -> Result<(u16, usize), NoEndpoint> {
        let port = self.target(workload).ok_or(NoEndpoint::Port)?;
        let balancing = &self.service.load_balancing;
        let healthy = workload.status == WorkloadStatus::Healthy
            || balancing.health == HealthPolicy::AllowAll;
        if !healthy || workload.capacity == 0 {
            return Err(NoEndpoint::None);
        }
        let all = || balancing.preference.iter().all(|scope| equal(*scope, self.source, workload));
        if balancing.mode == Mode::Strict && !all() {
            return Err(NoEndpoint::None);
        }
        if workload.network != self.snapshot.place().network {
            return Err(NoEndpoint::OtherNetwork);
        }
        if workload.addresses.is_empty() && workload.hostname.is_empty() {
            return Err(NoEndpoint::None);
        }
        if self.tried.contains(&workload.uid) {
            return Err(NoEndpoint::Tried);
        }
        let rank = match balancing.mode {
            Mode::Failover => rank(&balancing.preference, self.source, workload),
            Mode::Standard | Mode::Strict | Mode::Passthrough => 0,
        };
        Ok((port, rank))
    }

    /// The endpoint's own port: its own mapping, else the service's. An application-tunnel
    /// instance takes tunnels for any port at the one that was asked for.
    fn target(&self, workload: &Workload) -> Option<u16> {
        let own = workload.membership(&self.service.key)?.target(self.port);
        own.or_else(|| self.service.target(self.port))
            .or_else(|| workload.application_tunnel.map(|_| self.port))
    }
}

/// The reason that tells most, when several endpoints were left out for several reasons.
fn worse(one: NoEndpoint, other: NoEndpoint) -> NoEndpoint {
    let weight = |why| match why {
        NoEndpoint::None => 0,
        NoEndpoint::Port => 1,
        NoEndpoint::OtherNetwork => 2,
        NoEndpoint::Tried => 3,
    };
    if weight(other) > weight(one) { other } else { one }
}

/// How many leading scopes agree. If the first is the network, an endpoint of the own network
/// outranks all others, and the others are compared by the remaining scopes.
pub(super) fn rank(preference: &[Scope], source: &Workload, endpoint: &Workload) -> usize {
    let leading = |scopes: &[Scope]| {
        scopes.iter().take_while(|scope| equal(**scope, source, endpoint)).count()
    };
    match preference.split_first() {
        Some((Scope::Network, rest)) if equal(Scope::Network, source, endpoint) => {
            1 + leading(rest) + rest.len()
        }
        Some((Scope::Network, rest)) => leading(rest),
        _ => leading(preference),
    }
}

fn equal(scope: Scope, a: &Workload, b: &Workload) -> bool {
    match scope {
        Scope::Region => a.locality.region == b.locality.region,
        Scope::Zone => a.locality.zone == b.locality.zone,
        Scope::Subzone => a.locality.subzone == b.locality.subzone,
        Scope::Node => a.node == b.node,
        Scope::Cluster => a.cluster == b.cluster,
        Scope::Network => a.network == b.network,
    }
}

/// One of `all`, as likely as its weight says; none if all weights are 0.
pub(super) fn weighted<T, R: Rng + ?Sized>(
    all: impl Iterator<Item = T> + Clone,
    weight: impl Fn(&T) -> u32,
    rng: &mut R,
) -> Option<T> {
    let total: u64 = all.clone().map(|one| u64::from(weight(&one))).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.random_range(0..total);
    for one in all {
        let share = u64::from(weight(&one));
        if left < share {
            return Some(one);
        }
        left -= share;
    }
    None
}
