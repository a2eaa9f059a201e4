//! May this caller do this? Pure, and the only maker of permits.

use std::sync::Arc;

use crate::config::gateway::Gateway;
use crate::config::object::ObjectName;
use crate::config::policy::{Action, Policy, PolicyInput};
use crate::config::snapshot::Snapshot;
use crate::failure::Failure;
use crate::http::head::Head;
use crate::inbound::Inbound;
use crate::pipeline::World;
use crate::stage::jwt;
use crate::token::Bearer;
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

/// Whether the caller of a tunnel is served at all: trust in its domain may end while the tunnel
/// is open, and so may the Gateway, with its policies.
///
/// # Errors
/// `NotReady` without a Gateway; `NotAllowed` for a caller that it does not trust.
pub fn admitted<'a>(snapshot: &'a Snapshot, inbound: &Inbound) -> Result<&'a Gateway, Failure> {
    let gateway = snapshot.gateway.as_ref().ok_or(Failure::NotReady)?;
    if gateway.trusts(&inbound.peer) { Ok(gateway) } else { Err(Failure::NotAllowed) }
}

/// The authorizers that allowed a request, and what they were asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The head before any of them changed it: by it CUSTOM policies match.
    pub head: Arc<Head>,
    /// Their names.
    pub providers: Vec<Arc<str>>,
}

/// What was permitted.
#[derive(Clone, Debug)]
pub enum Permitted {
    /// A connection that carries no HTTP.
    Bytes,
    /// A request.
    Request {
        /// The head that policies saw.
        head: Arc<Head>,
        /// Who was asked before.
        asked: Asked,
        /// Whose token it carried.
        bearer: Option<Arc<Bearer>>,
    },
}

/// Why what was permitted may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// A policy refuses it now.
    #[error("policy {0} denies it now")]
    Denied(ObjectName),
    /// A policy wants the word of an authorizer that was never asked.
    #[error("policy {0} asks an authorizer now that was not asked before")]
    Unasked(ObjectName),
    /// What says which tokens are trusted is not understood now.
    #[error("{0} is not understood now")]
    Unreadable(ObjectName),
    /// No ALLOW policy allows it any longer, or its trust domain is trusted no longer.
    #[error("nothing allows it any longer")]
    NotAllowed,
}

/// Whether a connection that carries no HTTP may pass. There is no request to ask an
/// authorizer about, so a CUSTOM policy that matches refuses.
pub fn connection(snapshot: &Snapshot, inbound: &Inbound) -> Result<Permit, Failure> {
    admitted(snapshot, inbound)?;
    let services = inbound.target.services();
    jwt::readable(snapshot, services)?;
    let input = inbound.policy_input(snapshot, None, None);
    if let Some(policy) = custom(snapshot, services, &input).first() {
        return Err(Failure::AuthorizerFailed {
            provider: Arc::clone(&policy.provider),
            status: http::StatusCode::FORBIDDEN,
            reason: "the connection carries no HTTP that it could check".to_owned(),
        });
    }
    authorize(snapshot, services, &input)
}

/// Whether what was permitted would be permitted in `world`. Authorizers are not asked again:
/// their answers held for the request that they saw. What would need the word of one that was
/// never asked is not permitted. Nor are tokens verified again: they held when they came, but say
/// nothing any longer once nobody names their issuer.
///
/// # Errors
/// What forbids it.
pub fn reconsider(world: &World, inbound: &Inbound, what: &Permitted) -> Result<(), Revoked> {
    let snapshot = &world.config;
    // A Gateway that is gone takes its pods with it; it does not turn against anybody.
    let gateway = snapshot.gateway.as_ref();
    if gateway.is_some_and(|gateway| !gateway.trusts(&inbound.peer)) {
        return Err(Revoked::NotAllowed);
    }
    let again = |gateway| world.directory.again(&inbound.target, gateway).ok();
    let now = gateway.and_then(|gateway| again(gateway));
    let services = now.as_ref().map_or(&inbound.target, |(target, _)| target).services();
    if let Err(Failure::AuthenticationUnreadable { policy }) = jwt::readable(snapshot, services) {
        return Err(Revoked::Unreadable(policy));
    }
    let (asked_of, providers, judged, bearer) = match what {
        Permitted::Bytes => (None, &[][..], None, None),
        Permitted::Request { head, asked, bearer } => {
            let bearer = bearer.as_deref();
            (Some(asked.head.view()), asked.providers.as_slice(), Some(head.view()), bearer)
        }
    };
    let custom = custom(snapshot, services, &inbound.policy_input(snapshot, asked_of, None));
    if let Some(policy) = custom.iter().find(|policy| !providers.contains(&policy.provider)) {
        return Err(Revoked::Unasked(policy.object.clone()));
    }
    let bearer = bearer.filter(|bearer| jwt::is_trusted(snapshot, services, bearer));
    match authorize(snapshot, services, &inbound.policy_input(snapshot, judged, bearer)) {
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
