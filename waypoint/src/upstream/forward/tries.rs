//! What is left of a request between its tries, and whether there is another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hbone::wire::workload::{Mode, Workload};
use http::Request;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::request::{build, is_idempotent};
use super::{Answer, MAX_ENDPOINTS_TRIED, MAX_REPLAY};
use crate::directory::Target;
use crate::directory::balance::{self, Chosen, Endpoint};
use crate::failure::Failure;
use crate::http::body::{self, Body};
use crate::http::upload::Upload;
use crate::pipeline::{Destination, Exchange};
use crate::standing::Standing;
use crate::upstream::pool::Protocol;

/// Longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// What is left of a request between its tries.
pub(super) struct Tries {
    /// The body, until it is sent.
    body: Option<Body>,
    /// A body that may be sent again.
    replay: Option<Bytes>,
    pub(super) tried: Vec<SocketAddr>,
    /// How the last of them failed.
    pub(super) last: Option<Failure>,
    retries: u32,
    retry: Option<crate::config::route::Retry>,
    pub(super) random: u64,
    idempotent: bool,
    /// What of the body is under way; severed unless an answer has come.
    pub(super) under_way: Option<Upload>,
}

/// No answer came, or nobody waits for one any longer.
impl Drop for Tries {
    fn drop(&mut self) {
        if let Some(upload) = &self.under_way {
            upload.sever();
        }
    }
}

impl Tries {
    pub(super) async fn begin(
        exchange: &mut Exchange,
        standing: Standing,
    ) -> Result<Self, Failure> {
        let retry = exchange.rule.as_ref().and_then(|matched| matched.rule.retry.clone());
        let mut body = exchange.take_body();
        if !body.is_end_stream() {
            let (upload, guarded) = Upload::new(body, exchange.record.sent(), Some(standing));
            body = guarded;
            if let Some(names) = &exchange.reserved {
                upload.reserve(Arc::clone(names));
            }
            exchange.upload = Some(upload);
        }
        let mut replay = body.is_end_stream().then(Bytes::new);
        let short = body.size_hint().upper().is_some_and(|length| length <= MAX_REPLAY);
        if replay.is_none() && short && retry.is_some() {
            let collected = body.collect().await.map_err(|_| Failure::BodyBroken)?;
            replay = collected.trailers().is_none().then(|| collected.to_bytes());
            body = body::full(replay.clone().unwrap_or_default());
        }
        let [_, random] = exchange.random;
        Ok(Self {
            body: Some(body),
            replay,
            tried: Vec::new(),
            last: None,
            retries: 0,
            retry,
            random,
            idempotent: is_idempotent(&exchange.head.method),
            under_way: exchange.upload.clone(),
        })
    }

    pub(super) fn choose(
        &mut self,
        exchange: &Exchange,
        own: Option<&Workload>,
    ) -> Result<Chosen, Failure> {
        self.random = self.random.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let directory = &exchange.world.directory;
        let none = |service: String, port| Failure::NoEndpoint { service, port };
        match (&exchange.destination, &exchange.target) {
            (Some(Destination::Service(service, port)), target)
                if service.load_balancing.mode == Mode::Passthrough =>
            {
                let dialled = Endpoint::dialled(service, target);
                let fresh = |e: &Endpoint| !self.tried.contains(&e.address) || self.retries > 0;
                let chosen = dialled.filter(fresh).map(Chosen::Endpoint);
                chosen.ok_or_else(|| none(service.key.to_string(), *port))
            }
            (Some(Destination::Service(service, port)), _) => {
                let chosen =
                    balance::choose(directory, service, *port, own, &self.tried, self.random);
                // A retry may go to the only endpoint again.
                let again = || balance::choose(directory, service, *port, own, &[], self.random);
                let chosen = chosen.or_else(|| (self.retries > 0).then(again).flatten());
                chosen.ok_or_else(|| none(service.key.to_string(), *port))
            }
            (Some(Destination::Addressed), Target::Workload { workload, address, .. }) => {
                if self.tried.contains(address) && self.retries == 0 {
                    return Err(none(workload.name.to_string(), address.port()));
                }
                Ok(Chosen::Endpoint(Endpoint::direct(workload, *address)))
            }
            (None | Some(Destination::Addressed), _) => {
                Err(none("of the request".to_owned(), exchange.target.address().port()))
            }
        }
    }

    pub(super) fn failed(&mut self, endpoint: &Endpoint, failure: Failure) {
        self.tried.push(endpoint.address);
        self.last = Some(failure);
    }

    /// Whether another endpoint is worth a try, since this one has seen nothing.
    pub(super) fn next_endpoint(&self, failure: &Failure) -> bool {
        failure.retry_safe() && self.can_send() && self.tried.len() + 1 < MAX_ENDPOINTS_TRIED
    }

    /// Whether the route wants the answer replaced by another.
    pub(super) fn wants_other(&mut self, answer: &Answer) -> bool {
        let Some(retry) = &self.retry else { return false };
        let wanted = retry.codes.contains(&answer.response.status());
        wanted && self.may_retry()
    }

    /// Whether the route wants another try after a failure: only what may be done twice.
    pub(super) fn retries(&mut self, failure: &Failure) -> bool {
        let broken = matches!(failure, Failure::Broken { .. } | Failure::BackendTimeout { .. });
        broken && self.retry.is_some() && self.idempotent && self.may_retry()
    }

    fn may_retry(&mut self) -> bool {
        let attempts = self.retry.as_ref().map_or(0, |retry| retry.attempts);
        let may = self.retries < attempts && self.replay.is_some();
        self.retries += u32::from(may);
        may
    }

    fn can_send(&self) -> bool {
        self.body.is_some() || self.replay.is_some()
    }

    pub(super) async fn pause(&mut self) {
        let base = self.retry.as_ref().map_or(Duration::ZERO, |retry| retry.backoff);
        let doubled =
            base.saturating_mul(1 << (self.retries.saturating_sub(1)).min(16)).min(MAX_BACKOFF);
        let jitter = 0.5 + (self.random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0;
        tokio::time::sleep(doubled.mul_f64(jitter)).await;
    }

    pub(super) fn give_back(&mut self, unsent: Option<Request<Body>>) {
        if let Some(request) = unsent {
            self.body = Some(request.into_body());
        }
    }

    pub(super) fn request(
        &mut self,
        exchange: &Exchange,
        protocol: Protocol,
    ) -> Result<Request<Body>, Failure> {
        let replayed = || self.replay.clone().map(body::full);
        let body = self.body.take().or_else(replayed).ok_or(Failure::BodyBroken)?;
        build(exchange, protocol, body)
    }
}
