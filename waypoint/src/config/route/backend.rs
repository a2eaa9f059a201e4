//! Backends of a rule and the choice among them.

use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::ambit::waypoint::v1 as pb;

use super::Filters;
use crate::config::service_name;

/// A backend with its share of the requests.
#[derive(Debug)]
pub struct Backend {
    /// Share; 0 gets none.
    pub weight: u32,
    /// Where.
    pub target: BackendTarget,
    /// What to change for this backend only.
    pub filters: Filters,
}

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendTarget {
    /// A port of a service.
    Service {
        /// The service.
        service: NamespacedHostname,
        /// Its port.
        port: u16,
    },
    /// The reference cannot be followed, and why: answered 500.
    Invalid(String),
}

impl Backend {
    pub(super) fn compile(wire: &pb::Backend) -> Self {
        let target = match (&wire.target, u16::try_from(wire.port)) {
            (Some(pb::backend::Target::Service(service)), Ok(port)) => {
                BackendTarget::Service { service: service_name(service), port }
            }
            (Some(pb::backend::Target::Invalid(why)), _) => BackendTarget::Invalid(why.clone()),
            (Some(pb::backend::Target::Service(_)), Err(_)) => {
                BackendTarget::Invalid(format!("port {} is above 65535", wire.port))
            }
            (None, _) => BackendTarget::Invalid("the backend names no service".into()),
        };
        Self { weight: wire.weight, target, filters: Filters::compile(&wire.filters) }
    }

    /// Chooses by weight with `random` of any value; none when no backend has weight.
    pub fn choose(backends: &[Self], random: u64) -> Option<&Self> {
        let total: u64 = backends.iter().map(|b| u64::from(b.weight)).sum();
        let mut left = random.checked_rem(total)?;
        backends.iter().find(|backend| {
            let weight = u64::from(backend.weight);
            let chosen = left < weight;
            left = left.saturating_sub(weight);
            chosen
        })
    }
}
