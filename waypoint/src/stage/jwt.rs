//! Tokens of requests: who issued them decides who asks (docs/wire.md, "Request authentication").
//!
//! - [`find`]: the token of a request; [`verify`]: is it one? [`claims`]: what must hold of it
//! - [`output`]: what the application gets of it, and gets from nobody else

use std::sync::Arc;
use std::time::SystemTime;

use hbone::wire::address::NamespacedHostname;

use crate::config::authentication::{Authentication, TokenRule};
use crate::config::object::ObjectName;
use crate::config::snapshot::Snapshot;
use crate::config::view::RequestView;
use crate::failure::Failure;
use crate::pipeline::{Exchange, Flow, Stage};
use crate::record::Metrics;
use crate::token::Bearer;

mod claims;
mod find;
mod output;
mod verify;

pub use verify::TokenError;

/// Longest token that is looked at, bytes; the header section as a whole has a limit too.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The objects that guard a target.
type Guards<'g, 'a> = &'g [&'a Arc<Authentication>];

/// What was found out about a request's token.
#[derive(Debug)]
pub struct Verified<'a> {
    /// Who asks.
    pub bearer: Bearer,
    /// The rule that accepted it.
    rule: &'a TokenRule,
    /// The object that the rule is of.
    object: &'a ObjectName,
    /// Its middle part.
    payload: String,
    /// Where it was.
    place: find::Found<'a>,
}

/// Whose token a request has; none if it has no token. Pure.
///
/// # Errors
/// `Unauthenticated` for a token that is not accepted, and for more than one;
/// `AuthenticationUnreadable` if an object that guards the target is not understood.
pub fn authenticate<'a>(
    snapshot: &'a Snapshot,
    services: &'a [NamespacedHostname],
    request: &RequestView<'_>,
    now: SystemTime,
) -> Result<Option<Verified<'a>>, Failure> {
    readable(snapshot, services)?;
    let guards: Vec<_> = snapshot.authentications(services).collect();
    let Some(found) = find::token(&guards, request)? else { return Ok(None) };
    let accepted = verify::token(&guards, &found, now);
    match accepted {
        Ok((object, rule, token)) => {
            let verify::Token { bearer, payload } = token;
            Ok(Some(Verified { bearer, rule, object, payload, place: found }))
        }
        Err((object, reason)) => {
            Err(Failure::Unauthenticated { policy: object.unwrap_or(found.object).clone(), reason })
        }
    }
}

/// # Errors
/// `AuthenticationUnreadable` if an object that guards any of `services` is not understood.
pub fn readable(snapshot: &Snapshot, services: &[NamespacedHostname]) -> Result<(), Failure> {
    let mut all = snapshot.authentications(services);
    match all.find(|authentication| authentication.unreadable.is_some()) {
        Some(found) => Err(Failure::AuthenticationUnreadable { policy: found.object.clone() }),
        None => Ok(()),
    }
}

/// Whether tokens of `bearer`'s issuer still say anything there.
pub fn is_trusted(snapshot: &Snapshot, services: &[NamespacedHostname], bearer: &Bearer) -> bool {
    let mut rules = snapshot.authentications(services).flat_map(|all| &all.rules);
    rules.any(|rule| &*rule.issuer == bearer.issuer())
}

/// Takes from the request what only a verified token may say; the first of all stages, so that
/// neither routes nor authorizers believe it.
#[derive(Clone, Copy, Debug)]
pub struct Distrust;

impl Stage for Distrust {
    const NAME: &'static str = "distrust";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let config = Arc::clone(&exchange.world.config);
        let guards: Vec<_> = config.authentications(exchange.target.services()).collect();
        if guards.is_empty() {
            return Flow::Continue;
        }
        if let Some(safe) = find::without_tokens(&guards, &exchange.head) {
            exchange.record.request(&Arc::new(safe));
        }
        let reserved: Arc<[_]> = output::of_us(&guards).cloned().collect();
        let forged: Vec<_> = reserved
            .iter()
            .filter(|name| exchange.head.headers.contains_key(*name))
            .filter(|name| !find::is_place(&guards, name))
            .cloned()
            .collect();
        if !forged.is_empty() {
            let head = Arc::make_mut(&mut exchange.head);
            for name in forged {
                head.headers.remove(name);
            }
            // Policies that ask authorizers match by what is left.
            exchange.asked.head = Arc::clone(&exchange.head);
        }
        exchange.reserved = (!reserved.is_empty()).then_some(reserved);
        Flow::Continue
    }
}

/// Verifies the token of a request and leaves who asks.
pub struct Authenticate {
    /// The time.
    pub now: SystemTime,
    /// Counts what becomes of tokens.
    pub metrics: Arc<Metrics>,
}

impl Stage for Authenticate {
    const NAME: &'static str = "jwt";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let config = Arc::clone(&exchange.world.config);
        let target = exchange.target.clone();
        let services = target.services();
        let outcome = authenticate(&config, services, &exchange.head.view(), self.now);
        let verified = match outcome {
            Ok(None) => None,
            Ok(Some(verified)) => {
                self.metrics.token(verified.object, "accepted");
                Some(verified)
            }
            Err(failure) => {
                if let Failure::Unauthenticated { policy, reason } = &failure {
                    self.metrics.token(policy, reason.label());
                }
                return failure.into();
            }
        };
        let guards: Vec<_> = config.authentications(services).collect();
        output::apply(&guards, verified.as_ref(), &mut exchange.head);
        if let Some(verified) = verified {
            exchange.record.bearer(&verified.bearer);
            exchange.bearer = Some(Arc::new(verified.bearer));
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests;
