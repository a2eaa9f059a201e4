//! May this caller do this? Pure, and the only maker of permits.

use std::sync::Arc;

use crate::config::policy::{Action, Policy, PolicyInput};
use crate::config::store::Snapshot;
use crate::failure::Failure;
use hbone::wire::address::NamespacedHostname;

/// Proof that policy lets a request pass; dialling the application takes one.
///
/// It names what granted it and is made nowhere but in [`authorize`].
#[derive(Clone, Debug)]
pub struct Permit {
    policy: Option<Arc<Policy>>,
}

impl Permit {
    /// The ALLOW policy that granted it; none if no policy restricts the target.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }
}

/// The CUSTOM policies that match, whose providers must all allow, in the order of their
/// providers' names (docs/wire.md, "External authorization").
pub fn custom(
    snapshot: &Snapshot,
    services: &[NamespacedHostname],
    input: &PolicyInput<'_>,
) -> Vec<Arc<Policy>> {
    let custom = snapshot.policies(services).filter(|policy| policy.action == Action::Custom);
    let mut found: Vec<_> =
        custom.filter(|policy| policy.matching_rule(input).is_some()).cloned().collect();
    found.sort_by(|a, b| (&a.provider, &a.object).cmp(&(&b.provider, &b.object)));
    found.dedup_by(|a, b| a.provider == b.provider);
    found
}

/// DENY, then ALLOW: a matching DENY refuses; if there is an ALLOW, one must match.
pub fn authorize(
    snapshot: &Snapshot,
    services: &[NamespacedHostname],
    input: &PolicyInput<'_>,
) -> Result<Permit, Failure> {
    let policies = snapshot.policies(services);
    let matching = |action: Action| {
        let of_action = policies.clone().filter(move |policy| policy.action == action);
        of_action.into_iter().find(|policy| policy.matching_rule(input).is_some())
    };
    if let Some(policy) = matching(Action::Deny) {
        return Err(Failure::Denied { policy: policy.object.clone() });
    }
    if let Some(policy) = matching(Action::Allow) {
        return Ok(Permit { policy: Some(Arc::clone(policy)) });
    }
    if policies.clone().any(|policy| policy.action == Action::Allow) {
        return Err(Failure::NotAllowed);
    }
    Ok(Permit { policy: None })
}

/// A permit to call an authorizer, which the mesh configuration itself names.
pub(crate) fn for_authorizer() -> Permit {
    Permit { policy: None }
}
