//! External authorization over Envoy's gRPC service
//! (docs/wire.md, "External authorization").

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::identity::SpiffeId;
use hbone::wire::workload::Workload;
use http_body::Body as _;
use tracing::info;

use crate::account::{Account, Place};
use crate::authorize;
use crate::config::policy::Policy;
use crate::config::provider::ProviderCall;
use crate::failure::Failure;
use crate::pipeline::{Exchange, Flow, Stage};
use crate::record::{Limit, Metrics};
use crate::upstream::forward::Forwarder;
use outcome::Outcome;

mod call;
mod message;
mod outcome;

/// Checks that one waypoint runs at a time; a hanging authorizer must not pile them up.
pub const MAX_CHECKS: usize = 1024;
/// Of them, those for requests of one identity.
pub const MAX_CHECKS_OF_ONE: usize = 256;

/// Bytes of bodies that one waypoint keeps for authorizers and then for applications.
pub const MAX_BODIES: usize = 256 * 1024 * 1024;
/// Of them, those of one identity's requests.
pub const MAX_BODIES_OF_ONE: usize = 64 * 1024 * 1024;
/// How long the part of a body that an authorizer is to see may take.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The checks of one waypoint.
#[derive(Debug, Default)]
pub struct Checks {
    running: Arc<AtomicUsize>,
    bodies: Arc<AtomicUsize>,
    made: AtomicU64,
}

impl Checks {
    /// A place for a check of a request of `account`, or the limit that is reached.
    fn begin(&self, account: &Account) -> Result<(Place, Place), Limit> {
        let of_one = Place::take(&account.checks, MAX_CHECKS_OF_ONE).ok_or(Limit::ChecksOfOne)?;
        let of_all = Place::take(&self.running, MAX_CHECKS).ok_or(Limit::Checks)?;
        Ok((of_one, of_all))
    }

    /// Room for `bytes` of a body of `account`, or the limit that is reached.
    fn room(&self, account: &Account, bytes: usize) -> Result<[Place; 2], Limit> {
        let of_one = Place::take_many(&account.bodies, bytes, MAX_BODIES_OF_ONE);
        let of_one = of_one.ok_or(Limit::BodiesOfOne)?;
        let of_all = Place::take_many(&self.bodies, bytes, MAX_BODIES).ok_or(Limit::Bodies)?;
        Ok([of_one, of_all])
    }

    /// The number of the next check, as Envoy's streams have one.
    fn number(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Asks the providers of the CUSTOM policies that match; all must allow.
pub struct ExternalAuthorization {
    /// How providers are reached.
    pub forwarder: Arc<Forwarder>,
    /// Counts decisions.
    pub metrics: Arc<Metrics>,
    /// The waypoint's own identity: the destination that a provider is told.
    pub identity: SpiffeId,
    /// The workload of the waypoint itself, for the choice of an endpoint.
    pub own: Option<Arc<Workload>>,
    /// The checks of this waypoint.
    pub checks: Arc<Checks>,
}

impl Stage for ExternalAuthorization {
    const NAME: &'static str = "ext_authz";

    async fn on_request(&self, exchange: &mut Exchange) -> Flow {
        // Tokens are looked at afterwards.
        let (config, view) = (&exchange.world.config, exchange.head.view());
        let input = exchange.inbound.policy_input(config, Some(view), None);
        let services = exchange.target.services();
        for policy in authorize::custom(config, services, &input) {
            let flow = self.check(exchange, &policy).await;
            if matches!(flow, Flow::Reply(_)) {
                exchange.record.policy(Some(&policy.object));
                return flow;
            }
            exchange.asked.providers.push(Arc::clone(&policy.provider));
        }
        Flow::Continue
    }
}

impl ExternalAuthorization {
    /// Asks the provider of `policy` and applies its answer.
    async fn check(&self, exchange: &mut Exchange, policy: &Policy) -> Flow {
        let provider = exchange.world.config.provider(&policy.provider).cloned();
        let usable = provider.as_ref().map(|provider| (provider, provider.call.as_ref()));
        let call = match usable {
            Some((_, Ok(call))) => call,
            Some((provider, Err(reason))) => {
                return self.unusable(exchange, policy, provider.name(), reason);
            }
            None => {
                return self.unusable(
                    exchange,
                    policy,
                    &policy.provider,
                    "no provider has this name",
                );
            }
        };
        let began = Instant::now();
        let outcome = match self.body(exchange, call).await {
            Ok(body) => self.ask(exchange, call, body).await,
            Err(Unread::Limit(limit)) => self.at(limit),
            Err(Unread::Failure(failure)) => return failure.into(),
        };
        let flow = outcome::apply(&outcome, exchange, &policy.provider, call);
        self.audit(exchange, policy, &outcome, &flow, began);
        flow
    }

    async fn body(
        &self,
        exchange: &mut Exchange,
        call: &ProviderCall,
    ) -> Result<Option<Body>, Unread> {
        let Some(check) = call.body.filter(|_| exchange.head.upgrade.is_none()) else {
            return Ok(None);
        };
        let announced = exchange.body.size_hint().upper();
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        let most = announced.map_or(check.max, |length| length.min(check.max));
        let room = self.checks.room(&exchange.inbound.account, most).map_err(Unread::Limit)?;
        let peeked = tokio::time::timeout(BODY_DEADLINE, exchange.peek_body(check.max, room));
        let (bytes, whole) = peeked.await.unwrap_or(Err(Failure::BodyTimeout))?;
        if !whole && !check.allow_partial {
            return Err(Failure::BodyTooLarge { limit: check.max }.into());
        }
        Ok(Some(Body { bytes, whole, as_bytes: check.as_bytes }))
    }

    /// The check is not made, since a limit is reached.
    fn at(&self, limit: Limit) -> Outcome {
        self.metrics.limit(limit);
        Outcome::Error { reason: format!("{limit} is reached"), answer: None }
    }

    async fn ask(
        &self,
        exchange: &mut Exchange,
        call: &ProviderCall,
        body: Option<Body>,
    ) -> Outcome {
        let _places = match self.checks.begin(&exchange.inbound.account) {
            Ok(places) => places,
            Err(limit) => return self.at(limit),
        };
        let request = message::request(exchange, &self.identity, self.checks.number(), body);
        let directory = Arc::clone(&exchange.world.directory);
        let asked = call::check(&self.forwarder, &directory, self.own.as_deref(), call, request);
        match tokio::time::timeout(call.timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Error { reason: call::unanswered(call.timeout), answer: None },
        }
    }

    fn unusable(
        &self,
        exchange: &Exchange,
        policy: &Policy,
        provider: &Arc<str>,
        reason: &str,
    ) -> Flow {
        let outcome = Outcome::Error { reason: reason.to_owned(), answer: None };
        let flow = Flow::from(Failure::AuthorizerFailed {
            provider: Arc::clone(provider),
            status: http::StatusCode::FORBIDDEN,
            reason: reason.to_owned(),
        });
        self.audit(exchange, policy, &outcome, &flow, Instant::now());
        flow
    }

    /// One line for every decision.
    fn audit(
        &self,
        exchange: &Exchange,
        policy: &Policy,
        outcome: &Outcome,
        flow: &Flow,
        began: Instant,
    ) {
        let (decision, reason) = match (outcome, flow) {
            (_, Flow::Reply(reply)) => match &reply.failure {
                Some(Failure::AuthorizerInvalid { reason, .. }) => {
                    ("invalid", Some(reason.as_str()))
                }
                _ => outcome.decision(),
            },
            (Outcome::Error { reason, .. }, Flow::Continue) => {
                ("failure_mode_allowed", Some(reason.as_str()))
            }
            (_, Flow::Continue) => outcome.decision(),
        };
        self.metrics.check(&policy.provider, decision);
        let status = match flow {
            Flow::Continue => None,
            Flow::Reply(reply) => Some(reply.status.as_u16()),
        };
        info!(
            target: "audit",
            provider = %policy.provider,
            policy = %policy.object,
            decision,
            reason,
            response_code = status,
            duration_us = began.elapsed().as_micros() as u64,
            src.identity = %exchange.inbound.peer,
            src.addr = %exchange.inbound.client,
            dst.addr = %exchange.inbound.target.address(),
            method = %exchange.head.method,
            authority = exchange.head.authority(),
            path = exchange.head.path,
            request_id = exchange.head.headers.get("x-request-id").and_then(|v| v.to_str().ok()),
            "external authorization"
        );
    }
}

/// Why the body that a provider is to see was not read.
enum Unread {
    /// Of ours.
    Limit(Limit),
    /// The request is answered with it.
    Failure(Failure),
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The part of the body that a provider sees.
pub(super) struct Body {
    bytes: Bytes,
    whole: bool,
    as_bytes: bool,
}

#[cfg(test)]
mod tests;
