//! Taking in what the control plane sends.

use std::sync::Arc;

use hbone::wire::authorization::{AUTHORIZATION_TYPE, Authorization};
use hbone::wire::error::WireError;
use hbone::wire::intern::Interner;
use hbone::wire::workload::{ADDRESS_TYPE, Address};
use hbone::xds::{Handler, Rejected, Resource};

use super::snapshot::Snapshot;
use super::{State, Touched};

/// The resource type of workloads and services.
pub const ADDRESSES: &str = ADDRESS_TYPE;
/// The resource type of policies.
pub const AUTHORIZATIONS: &str = AUTHORIZATION_TYPE;

/// The handler of one resource type, for the discovery client.
#[derive(Clone, Debug)]
pub struct TypeHandler {
    state: Arc<State>,
    apply: fn(&State, &[Resource], &[String]) -> Vec<Rejected>,
}

impl State {
    /// The handler for [`ADDRESSES`].
    pub fn addresses(self: &Arc<Self>) -> TypeHandler {
        TypeHandler { state: Arc::clone(self), apply: State::apply_addresses }
    }

    /// The handler for [`AUTHORIZATIONS`].
    pub fn authorizations(self: &Arc<Self>) -> TypeHandler {
        TypeHandler { state: Arc::clone(self), apply: State::apply_authorizations }
    }

    /// Applies workloads and services, then removals, as one change. What is refused leaves
    /// its last good version in force.
    pub fn apply_addresses(&self, resources: &[Resource], removed: &[String]) -> Vec<Rejected> {
        self.edit(|next, interner, touched| {
            let rejected = each(resources, |resource| {
                next.put_address(&Address::decode(&resource.bytes, interner)?, touched);
                Ok(())
            });
            for name in removed {
                next.remove_address(name, touched);
            }
            next.addresses_known = true;
            rejected
        })
    }

    /// Applies policies, then removals, as one change. What is refused leaves its last good
    /// version in force.
    pub fn apply_authorizations(
        &self,
        resources: &[Resource],
        removed: &[String],
    ) -> Vec<Rejected> {
        self.edit(|next, interner, touched| {
            let rejected = each(resources, |resource| {
                next.put_policy(&decode_policy(&resource.bytes, interner)?, touched);
                Ok(())
            });
            for name in removed {
                next.remove_policy(name, touched);
            }
            touched.policies |= !next.policies_known;
            next.policies_known = true;
            rejected
        })
    }
}

impl Handler for TypeHandler {
    fn apply(&self, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected> {
        (self.apply)(&self.state, &resources, &removed)
    }
}

impl Snapshot {
    pub(super) fn put_address(&mut self, address: &Address, touched: &mut Touched) {
        match address {
            Address::Workload(workload) => self.put_workload(workload, touched),
            Address::Service(service) => self.put_service(service),
        }
    }
}

/// Applies each resource and collects those that were refused.
fn each(
    resources: &[Resource],
    mut apply: impl FnMut(&Resource) -> Result<(), WireError>,
) -> Vec<Rejected> {
    let refused = resources.iter().filter_map(|resource| {
        let error = apply(resource).err()?;
        tracing::warn!(name = resource.name, %error, "resource refused");
        Some(Rejected { name: resource.name.clone(), error: error.to_string() })
    });
    refused.collect()
}

fn decode_policy(bytes: &[u8], interner: &mut Interner) -> Result<Arc<Authorization>, WireError> {
    let policy = Authorization::decode(bytes, interner)?;
    if policy.unreadable > 0 {
        let (name, count) = (&policy.key, policy.unreadable);
        tracing::warn!(%name, count, "policy has unreadable values and was made stricter");
    }
    Ok(Arc::new(policy))
}
