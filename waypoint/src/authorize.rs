//! May this caller do this? Pure, and the only maker of permits.

use std::sync::Arc;

use crate::config::object::ObjectName;
use crate::config::policy::{Action, Policy, PolicyInput};
use crate::config::snapshot::Snapshot;
use crate::failure::Failure;
use crate::http::head::Head;
use crate::inbound::Inbound;
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

/// Why what was permitted may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// A policy refuses it now.
    #[error("policy {0} denies it now")]
    Denied(ObjectName),
    /// No ALLOW policy allows it any longer, or its trust domain is trusted no longer.
    #[error("nothing allows it any longer")]
    NotAllowed,
}

/// Whether a connection that carries no HTTP may pass. There is no request to ask an
/// authorizer about, so a CUSTOM policy that matches refuses.
pub fn connection(snapshot: &Snapshot, inbound: &Inbound) -> Result<Permit, Failure> {
    let (services, input) = (inbound.target.services(), inbound.policy_input(snapshot, None));
    if let Some(policy) = custom(snapshot, services, &input).first() {
        return Err(Failure::AuthorizerFailed {
            provider: Arc::clone(&policy.provider),
            status: http::StatusCode::FORBIDDEN,
            reason: "the connection carries no HTTP that it could check".to_owned(),
        });
    }
    authorize(snapshot, services, &input)
}

/// Whether what was permitted would be permitted by `snapshot`: a request with the head that
/// policies saw, else a connection that carries no HTTP. Authorizers are not asked again.
///
/// # Errors
/// What forbids it.
pub fn reconsider(
    snapshot: &Snapshot,
    inbound: &Inbound,
    head: Option<&Head>,
) -> Result<(), Revoked> {
    // A Gateway that is gone takes its pods with it; it does not turn against anybody.
    if snapshot.gateway.as_ref().is_some_and(|gateway| !gateway.trusts(&inbound.peer)) {
        return Err(Revoked::NotAllowed);
    }
    let services = inbound.target.services();
    let input = inbound.policy_input(snapshot, head.map(Head::view));
    let unasked = head.is_none().then(|| custom(snapshot, services, &input));
    if let Some(policy) = unasked.as_deref().and_then(<[_]>::first) {
        return Err(Revoked::Denied(policy.object.clone()));
    }
    match authorize(snapshot, services, &input) {
        Ok(_) => Ok(()),
        Err(Failure::Denied { policy }) => Err(Revoked::Denied(policy)),
        Err(_) => Err(Revoked::NotAllowed),
    }
}

/// A permit to call an authorizer, which the mesh configuration itself names.
pub(crate) fn for_authorizer() -> Permit {
    Permit { policy: None }
}

#[cfg(test)]
mod tests;
