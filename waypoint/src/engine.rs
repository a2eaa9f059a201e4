//! One request from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hbone::identity::SpiffeId;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::account::Accounts;
use crate::config::route::HeaderEdits;
use crate::failure::Failure;
use crate::http::body::{self, Body, BoxError};
use crate::http::head::{Head, REQUEST_ID};
use crate::http::headers;
use crate::http::reply::Reply;
use crate::inbound::Inbound;
use crate::pipeline::{Exchange, Flow, Stage};
use crate::record::{Metrics, Record};
use crate::stage::ext_authz::{Checks, ExternalAuthorization};
use crate::stage::matching::Match;
use crate::stage::policy::Policies;
use crate::stage::rewrite::Rewrites;
use crate::standing::Standing;
use crate::state::State;
use crate::upstream::forward::{Answer, Forwarder, recorded};

const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What decides on requests and sends them on; shared by all connections of a Gateway.
pub struct Engine {
    /// What discovery told.
    pub state: Arc<State>,
    /// The way to applications.
    pub forwarder: Arc<Forwarder>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The waypoint's own identity.
    pub identity: SpiffeId,
    /// The address of the waypoint's pod, if it is known.
    pub own_ip: Option<IpAddr>,
    /// Checks of external authorizers.
    pub checks: Arc<Checks>,
    /// What each source uses.
    pub accounts: Accounts,
}

impl Engine {
    /// Answers a request that came on `inbound`; `refused` says that it cannot be read.
    pub async fn handle(
        &self,
        inbound: &Arc<Inbound>,
        request: Request<Incoming>,
        refused: Option<Failure>,
    ) -> Response<Body> {
        let arrived = Instant::now();
        let (mut parts, body) = request.into_parts();
        let mut record = Record::new(Arc::clone(&self.metrics), Arc::clone(inbound), arrived);
        let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let has_body = !http_body::Body::is_end_stream(&body);
        let read = refused.map_or_else(|| Head::read(&mut parts, has_body), Err);
        let mut head = match read {
            Ok(head) => head,
            Err(failure) => return close(self.reply(record, Reply::failure(failure), false)),
        };
        let missing_id = !head.headers.contains_key(REQUEST_ID);
        if let Some(id) = missing_id.then(new_request_id).flatten() {
            head.headers.insert(REQUEST_ID, id);
        }
        let head = Arc::new(head);
        record.request(&head);
        let exchange = Exchange {
            head,
            body: body.map_err(BoxError::from).boxed_unsync(),
            inbound: Arc::clone(inbound),
            world: self.state.world(),
            arrived,
            random: rand::random(),
            rule: None,
            destination: None,
            response_edits: HeaderEdits::default(),
            permit: None,
            judged: None,
            record,
        };
        self.run(exchange, upgrade).await
    }

    async fn run(
        &self,
        mut exchange: Exchange,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let grpc = exchange.head.is_grpc();
        let own = self.state.own(self.own_ip);
        if let Flow::Reply(reply) = self.decide(&mut exchange, own.clone()).await {
            let edits = exchange.response_edits;
            let mut response = self.reply(exchange.record, *reply, grpc);
            edits.apply(response.headers_mut());
            return response;
        }
        let mut standing = self.standing(&exchange);
        self.tell_identity(&mut exchange);
        let answered = tokio::select! {
            biased;
            answered = self.forwarder.forward(&mut exchange, own.as_deref()) => answered,
            revoked = standing.revoked() => Err(revoked.into()),
        };
        match answered {
            Ok(answer) => self.answer(exchange, answer, standing, upgrade),
            Err(failure) => self.reply(exchange.record, Reply::failure(failure), grpc),
        }
    }

    /// What may end the exchange from now on.
    fn standing(&self, exchange: &Exchange) -> Standing {
        let head = exchange.judged.clone().unwrap_or_else(|| Arc::clone(&exchange.head));
        let (inbound, generation) =
            (Arc::clone(&exchange.inbound), exchange.world.config.policy_generation);
        Standing::new(Arc::clone(&self.state), inbound, Some(head), generation)
    }

    /// The stages in their order.
    async fn decide(
        &self,
        exchange: &mut Exchange,
        own: Option<Arc<hbone::wire::workload::Workload>>,
    ) -> Flow {
        let external = ExternalAuthorization {
            forwarder: Arc::clone(&self.forwarder),
            metrics: Arc::clone(&self.metrics),
            identity: self.identity.clone(),
            own,
            checks: Arc::clone(&self.checks),
        };
        let flow = Match.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        let flow = external.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        let flow = Policies.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        Rewrites.on_request(exchange).await
    }

    /// The caller's identity for the application, if its Gateway wants that.
    fn tell_identity(&self, exchange: &mut Exchange) {
        if exchange.head.headers.keys().any(headers::is_identity) {
            headers::strip_identity(&mut Arc::make_mut(&mut exchange.head).headers);
        }
        let wanted =
            exchange.world.config.gateway.as_ref().is_some_and(|g| g.forward_client_identity);
        let text = || format!("By={};URI={}", self.identity, exchange.inbound.peer);
        if wanted && let Ok(value) = HeaderValue::try_from(text()) {
            Arc::make_mut(&mut exchange.head).headers.insert(XFCC, value);
        }
    }

    /// The application's answer on its way to the client.
    fn answer(
        &self,
        exchange: Exchange,
        answer: Answer,
        standing: Standing,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let Answer { mut response, lease, deadline } = answer;
        let mut record = exchange.record;
        record.answered(response.status(), response.headers());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.upgraded(&exchange.head, response, lease, record, standing, upgrade);
        }
        headers::strip_hop_by_hop(response.headers_mut());
        exchange.response_edits.apply(response.headers_mut());
        let (parts, incoming) = response.into_parts();
        let body = incoming.map_err(BoxError::from).boxed_unsync();
        Response::from_parts(parts, recorded(body, record, Some(lease), deadline, Some(standing)))
    }

    /// Joins both sides of a protocol that HTTP was left for.
    fn upgraded(
        &self,
        head: &Head,
        mut response: Response<Incoming>,
        lease: crate::upstream::pool::Lease,
        record: Record,
        mut standing: Standing,
        client: Option<hyper::upgrade::OnUpgrade>,
    ) -> Response<Body> {
        let (Some(client), Some(wanted)) = (client, &head.upgrade) else {
            let reason = "the application changed the protocol unasked".to_owned();
            let address = record.endpoint_address().unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
            let failure = Failure::Broken { address, reason, unsent: false };
            return self.reply(record, Reply::failure(failure), false);
        };
        let application = hyper::upgrade::on(&mut response);
        let protocol = response.headers().get(header::UPGRADE).unwrap_or(wanted).clone();
        headers::strip_hop_by_hop(response.headers_mut());
        let mut switched = Response::new(body::empty());
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *switched.headers_mut() = std::mem::take(response.headers_mut());
        switched.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        switched.headers_mut().insert(header::UPGRADE, protocol);
        tokio::spawn(async move {
            let mut record = record;
            if let (Ok(client), Ok(application)) = tokio::join!(client, application) {
                let (mut client, mut application) =
                    (TokioIo::new(client), TokioIo::new(application));
                let copying = tokio::io::copy_bidirectional(&mut client, &mut application);
                let copied = tokio::select! {
                    copied = copying => Some(copied),
                    revoked = standing.revoked() => {
                        record.failed(&revoked.into());
                        None
                    }
                };
                if let Some(Ok((sent, received))) = copied {
                    record.sent().fetch_add(sent, std::sync::atomic::Ordering::Relaxed);
                    record.received(usize::try_from(received).unwrap_or(usize::MAX));
                    record.complete();
                }
            }
            drop(lease);
        });
        switched
    }

    /// An answer of our own.
    fn reply(&self, mut record: Record, reply: Reply, grpc: bool) -> Response<Body> {
        if let Some(failure) = &reply.failure {
            record.failed(failure);
        }
        let response = reply.into_response(&self.name(), grpc);
        record.answered(response.status(), response.headers());
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, recorded(body, record, None, None, None))
    }

    /// The name of this waypoint in `Proxy-Status`.
    pub fn name(&self) -> String {
        match &self.state.world().config.gateway {
            Some(gateway) => format!("ambit/{}/{}", gateway.namespace, gateway.name),
            None => "ambit".to_owned(),
        }
    }
}

/// Tells the connection to end: what follows cannot be trusted to be delimited.
fn close(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A random UUID (RFC 9562 section 5.4).
fn new_request_id() -> Option<HeaderValue> {
    let random: u128 = rand::random();
    let id = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{id:032x}");
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let dashed = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-");
    HeaderValue::try_from(dashed).ok()
}
