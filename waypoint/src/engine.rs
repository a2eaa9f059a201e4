//! One request from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hbone::identity::SpiffeId;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::account::Accounts;
use crate::authorize::{self, Asked, Permitted};
use crate::config::route::HeaderEdits;
use crate::directory::{Bound, Target};
use crate::failure::Failure;
use crate::http::body::{self, Body, BoxError};
use crate::http::head::{Head, REQUEST_ID};
use crate::http::leash::{Held, Leash};
use crate::http::reply::Reply;
use crate::http::serve::LastOnConnection;
use crate::http::{headers, upgraded};
use crate::inbound::Inbound;
use crate::pipeline::{Exchange, Flow, Stage, World};
use crate::record::{Metrics, Record};
use crate::stage::ext_authz::{Checks, ExternalAuthorization};
use crate::stage::jwt::{Authenticate, Distrust};
use crate::stage::matching::Match;
use crate::stage::policy::Policies;
use crate::stage::rewrite::Rewrites;
use crate::standing::Standing;
use crate::state::State;
use crate::upstream::forward::{Answer, Forwarder, Rest, recorded};

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
    /// Answers a request that came on `inbound`; `refused` says that it cannot be read. `leash`
    /// is that of the task that will carry the answer.
    pub async fn handle(
        &self,
        inbound: &Arc<Inbound>,
        request: Request<Incoming>,
        refused: Option<Failure>,
        leash: &Leash,
    ) -> Response<Body> {
        let arrived = Instant::now();
        let (mut parts, body) = request.into_parts();
        let mut record = Record::new(Arc::clone(&self.metrics), Arc::clone(inbound), arrived);
        let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let has_body = !body.is_end_stream();
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
        let world = self.state.world();
        let (target, bound) = match addressed(&world, inbound) {
            Ok(found) => found,
            Err(failure) => {
                return last(self.reply(record, Reply::failure(failure), head.is_grpc()));
            }
        };
        let exchange = Exchange {
            asked: Asked { head: Arc::clone(&head), providers: Vec::new() },
            upload: None,
            head,
            body: body.map_err(BoxError::from).boxed_unsync(),
            inbound: Arc::clone(inbound),
            target,
            world,
            arrived,
            random: rand::random(),
            rule: None,
            destination: None,
            response_edits: HeaderEdits::default(),
            reserved: None,
            bearer: None,
            permit: None,
            judged: None,
            record,
        };
        let response = self.run(exchange, upgrade, leash).await;
        match bound {
            Bound::Here => response,
            Bound::Lately | Bound::Nowhere => last(response),
        }
    }

    async fn run(
        &self,
        mut exchange: Exchange,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
        leash: &Leash,
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
        let of_upload = standing.another();
        self.tell_identity(&mut exchange);
        // Policies first: what decided may have waited long for a body or an authorizer.
        let answered = tokio::select! {
            biased;
            revoked = standing.revoked() => Err(revoked.into()),
            answered = self.forwarder.forward(&mut exchange, own.as_deref(), of_upload) => answered,
        };
        match answered {
            Ok(answer) => self.answer(exchange, answer, standing, upgrade, leash),
            Err(failure) => self.reply(exchange.record, Reply::failure(failure), grpc),
        }
    }

    /// What may end the exchange from now on.
    fn standing(&self, exchange: &Exchange) -> Standing {
        let head = exchange.judged.clone().unwrap_or_else(|| Arc::clone(&exchange.head));
        let (asked, bearer) = (exchange.asked.clone(), exchange.bearer.clone());
        let what = Permitted::Request { head, asked, bearer };
        let (inbound, generation) =
            (Arc::clone(&exchange.inbound), exchange.world.config.policy_generation);
        Standing::new(Arc::clone(&self.state), inbound, what, generation)
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
        let flow = Distrust.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        let flow = Match.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        let flow = external.on_request(exchange).await;
        let Flow::Continue = flow else { return flow };
        // Not before: an authorizer may have been waited for.
        let now = SystemTime::now();
        let tokens = Authenticate { now, metrics: Arc::clone(&self.metrics) };
        let flow = tokens.on_request(exchange).await;
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
        leash: &Leash,
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
        if !body.is_end_stream() {
            let at = deadline.as_ref().map(|(at, _)| (*at).into());
            leash.hold(Held {
                standing: standing.another(),
                deadline: at.map(|at| Box::pin(tokio::time::sleep_until(at))),
                cut: record.cut_from_outside(),
            });
        }
        let rest = Rest {
            record,
            lease: Some(lease),
            upload: exchange.upload,
            deadline,
            standing: Some(standing),
            leash: Some(leash.clone()),
        };
        Response::from_parts(parts, recorded(body, rest))
    }

    /// Joins both sides of a protocol that HTTP was left for.
    fn upgraded(
        &self,
        head: &Head,
        mut response: Response<Incoming>,
        lease: crate::upstream::pool::Lease,
        record: Record,
        standing: Standing,
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
            if let (Ok(client), Ok(application)) = tokio::join!(client, application) {
                upgraded::relay(client, application, standing, record).await;
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
        Response::from_parts(parts, recorded(body, Rest::of(record)))
    }

    /// The name of this waypoint in `Proxy-Status`.
    pub fn name(&self) -> String {
        match &self.state.world().config.gateway {
            Some(gateway) => format!("ambit/{}/{}", gateway.namespace, gateway.name),
            None => "ambit".to_owned(),
        }
    }
}

/// What a tunnel is addressed to now, and whether it is still bound to this waypoint: it was when
/// the tunnel was opened, but that may be days ago.
fn addressed(world: &World, inbound: &Inbound) -> Result<(Target, Bound), Failure> {
    let gateway = authorize::admitted(&world.config, inbound)?;
    Ok(world.directory.again(&inbound.target, gateway)?)
}

/// Tells the connection to end, so that the client's next request comes on another.
fn last(mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(LastOnConnection);
    response
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
