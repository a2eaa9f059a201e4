//! What was bound to other waypoints until just now.
//!
//! The caller's node proxy and the waypoint hear of a new binding at different moments. A tunnel
//! that comes by the old way after its waypoint has heard of the new one is still served: control
//! leaves the policies and routes of the old way in force for longer than that
//! (docs/wire.md, "Waypoints").

use std::sync::Arc;
use std::time::{Duration, Instant};

use hbone::wire::address::NamespacedHostname;
use hbone::wire::workload::GatewayAddress;
use rpds::HashTrieMapSync;

use super::{Bound, NotServed};
use crate::config::gateway::Gateway;

/// How long callers may still come; less than control's `WITHDRAWAL`.
const GRACE: Duration = Duration::from_secs(2);

/// The waypoints of before, and until when they count.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    services: HashTrieMapSync<NamespacedHostname, Before>,
    workloads: HashTrieMapSync<Arc<str>, Before>,
}

#[derive(Clone, Debug)]
struct Before {
    waypoints: Arc<[GatewayAddress]>,
    until: Instant,
}

impl Before {
    fn new(waypoints: Vec<GatewayAddress>) -> Self {
        Self { waypoints: waypoints.into(), until: Instant::now() + GRACE }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }
}

impl Left {
    /// Notes that a service leaves `waypoints`.
    pub(super) fn note_service(
        &mut self,
        key: &NamespacedHostname,
        waypoints: Vec<GatewayAddress>,
    ) {
        if !waypoints.is_empty() {
            self.services.insert_mut(key.clone(), Before::new(waypoints));
        }
    }

    /// Notes that a workload leaves `waypoints`.
    pub(super) fn note_workload(&mut self, uid: &Arc<str>, waypoints: Vec<GatewayAddress>) {
        if !waypoints.is_empty() {
            self.workloads.insert_mut(Arc::clone(uid), Before::new(waypoints));
        }
    }

    /// The waypoints that a service has left just now.
    pub(super) fn service(&self, key: &NamespacedHostname) -> &[GatewayAddress] {
        in_time(self.services.get(key))
    }

    /// The waypoints that a workload has left just now.
    pub(super) fn workload(&self, uid: &Arc<str>) -> &[GatewayAddress] {
        in_time(self.workloads.get(uid))
    }

    /// Lets the time of all pass.
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        let now = Instant::now();
        let over = |before: &Before| Before { until: now, ..before.clone() };
        self.services = self.services.iter().map(|(key, b)| (key.clone(), over(b))).collect();
        self.workloads = self.workloads.iter().map(|(uid, b)| (uid.clone(), over(b))).collect();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.workloads.is_empty()
    }

    /// Forgets what is over.
    pub(super) fn prune(&mut self) {
        let now = Instant::now();
        let over = self.services.iter().filter(|(_, before)| before.is_over(now));
        for key in over.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.services.remove_mut(&key);
        }
        let over = self.workloads.iter().filter(|(_, before)| before.is_over(now));
        for uid in over.map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            self.workloads.remove_mut(&uid);
        }
    }
}

fn in_time(before: Option<&Before>) -> &[GatewayAddress] {
    before.filter(|before| !before.is_over(Instant::now())).map_or(&[], |b| &b.waypoints)
}

/// What something is for `gateway` that is `bound` now and has `left` those waypoints.
///
/// # Errors
/// As `bound`, if `gateway` is not among them.
pub(super) fn or_lately<'a>(
    bound: Result<Bound, NotServed>,
    left: impl FnOnce() -> &'a [GatewayAddress],
    gateway: &Gateway,
) -> Result<Bound, NotServed> {
    if bound != Ok(Bound::Here) && left().iter().any(|waypoint| gateway.is_at(waypoint)) {
        return Ok(Bound::Lately);
    }
    bound
}
