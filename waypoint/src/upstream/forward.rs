//! A request's tries, their deadlines and their answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::wire::workload::{AppProtocol, Service, Workload};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::pool::{Connections, Lease, Protocol, SendError, Source};
use crate::authorize::Permit;
use crate::directory::Target;
use crate::directory::balance::{self, Endpoint};
use crate::failure::Failure;
use crate::http::body::{self, Body, Cut, Observed, Observer};
use crate::http::leash::Leash;
use crate::http::upload::Upload;
use crate::pipeline::{Destination, Exchange};
use crate::standing::Standing;

/// Endpoints that a request tries when none of its bytes was sent.
pub const MAX_ENDPOINTS_TRIED: usize = 3;
/// Longest body that is kept to be sent again, if its route retries.
pub const MAX_REPLAY: u64 = 64 * 1024;
/// Longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// An answer of the application, on its way.
pub struct Answer {
    /// Its head and body.
    pub response: Response<Incoming>,
    /// Its connection.
    pub lease: Lease,
    /// When it must be complete, and what it is if it is late.
    pub deadline: Option<(Instant, Failure)>,
}

/// Sends requests on.
pub struct Forwarder {
    connections: Connections,
}

impl Forwarder {
    /// Sends on `connections`.
    pub fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// The connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Sends the exchange to an endpoint of its destination: another one while nothing was
    /// sent, and again as its route says.
    ///
    /// Ready with the head of the answer. The rest of the request, `exchange.upload`, may still be
    /// under way then, as long as `standing` says so.
    pub async fn forward(
        &self,
        exchange: &mut Exchange,
        own: Option<&Workload>,
        standing: Standing,
    ) -> Result<Answer, Failure> {
        let reason = "the request was not permitted before it was to be sent".to_owned();
        let missing = || Failure::Misconfigured {
            route: crate::config::object::ObjectName::from_wire(None),
            reason,
        };
        let permit = exchange.permit.clone().ok_or_else(missing)?;
        let mut tries = Tries::begin(exchange, standing).await?;
        let answered = match exchange.deadline() {
            None => self.tries(exchange, &permit, &mut tries, own).await,
            Some((at, limit)) => {
                let tries = self.tries(exchange, &permit, &mut tries, own);
                let answered = tokio::time::timeout_at(at.into(), tries).await;
                answered.unwrap_or(Err(Failure::RequestTimeout { limit }))
            }
        };
        tries.under_way = tries.under_way.take().filter(|_| answered.is_err());
        answered
    }

    async fn tries(
        &self,
        exchange: &mut Exchange,
        permit: &Permit,
        tries: &mut Tries,
        own: Option<&Workload>,
    ) -> Result<Answer, Failure> {
        loop {
            let endpoint = match tries.choose(exchange, own) {
                Ok(endpoint) => endpoint,
                // Those that there are have failed: that is the reason, not that there are none.
                Err(none) => return Err(tries.last.take().unwrap_or(none)),
            };
            exchange.record.attempt(&endpoint);
            let answer = self.once(exchange, permit, tries, &endpoint).await;
            match answer {
                Ok(answer) if tries.wants_other(&answer) => {
                    drop(answer);
                    tries.pause().await;
                }
                Ok(answer) => return Ok(answer),
                Err(failure) if tries.next_endpoint(&failure) => {
                    tries.failed(&endpoint, failure);
                }
                Err(failure) if tries.retries(&failure) => {
                    tries.failed(&endpoint, failure);
                    tries.pause().await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn once(
        &self,
        exchange: &mut Exchange,
        permit: &Permit,
        tries: &mut Tries,
        endpoint: &Endpoint,
    ) -> Result<Answer, Failure> {
        let protocol = protocol(exchange);
        let request = tries.request(exchange, protocol)?;
        let limit = exchange.rule.as_ref().and_then(|matched| matched.rule.backend_timeout);
        let began = Instant::now();
        let account = Arc::clone(&exchange.inbound.account);
        let source = Source { account: &account, upload: exchange.upload.as_ref() };
        let sending = self.connections.send(endpoint, protocol, permit, Some(source), request);
        let sent = match limit {
            None => sending.await,
            Some(limit) => match tokio::time::timeout(limit, sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(Failure::BackendTimeout { address: endpoint.address, limit }),
            },
        };
        let whole = exchange.deadline();
        let whole = whole.map(|(at, limit)| (at, Failure::RequestTimeout { limit }));
        let address = endpoint.address;
        let of_try = limit.map(|limit| (began + limit, Failure::BackendTimeout { address, limit }));
        let deadline = whole.into_iter().chain(of_try).min_by_key(|(at, _)| *at);
        match sent {
            Ok((response, lease)) => Ok(Answer { response, lease, deadline }),
            Err(SendError { failure, unsent }) => {
                tries.give_back(unsent);
                if exchange.upload.as_ref().is_some_and(Upload::broke) {
                    Err(Failure::BodyBroken)
                } else {
                    Err(failure)
                }
            }
        }
    }
}

/// What is left of a request between its tries.
struct Tries {
    /// The body, until it is sent.
    body: Option<Body>,
    /// A body that may be sent again.
    replay: Option<Bytes>,
    tried: Vec<SocketAddr>,
    /// How the last of them failed.
    last: Option<Failure>,
    retries: u32,
    retry: Option<crate::config::route::Retry>,
    random: u64,
    idempotent: bool,
    /// What of the body is under way; severed unless an answer has come.
    under_way: Option<Upload>,
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
    async fn begin(exchange: &mut Exchange, standing: Standing) -> Result<Self, Failure> {
        let retry = exchange.rule.as_ref().and_then(|matched| matched.rule.retry.clone());
        let mut body = exchange.take_body();
        if !body.is_end_stream() {
            let (upload, guarded) = Upload::new(body, exchange.record.sent(), Some(standing));
            body = guarded;
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

    fn choose(&mut self, exchange: &Exchange, own: Option<&Workload>) -> Result<Endpoint, Failure> {
        self.random = self.random.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let directory = &exchange.world.directory;
        let none = |service: String, port| Failure::NoEndpoint { service, port };
        match (&exchange.destination, &exchange.target) {
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
                Ok(Endpoint::direct(workload, *address))
            }
            (None | Some(Destination::Addressed), _) => {
                Err(none("of the request".to_owned(), exchange.target.address().port()))
            }
        }
    }

    fn failed(&mut self, endpoint: &Endpoint, failure: Failure) {
        self.tried.push(endpoint.address);
        self.last = Some(failure);
    }

    /// Whether another endpoint is worth a try, since this one has seen nothing.
    fn next_endpoint(&self, failure: &Failure) -> bool {
        failure.retry_safe() && self.can_send() && self.tried.len() + 1 < MAX_ENDPOINTS_TRIED
    }

    /// Whether the route wants the answer replaced by another.
    fn wants_other(&mut self, answer: &Answer) -> bool {
        let Some(retry) = &self.retry else { return false };
        let wanted = retry.codes.contains(&answer.response.status());
        wanted && self.may_retry()
    }

    /// Whether the route wants another try after a failure: only what may be done twice.
    fn retries(&mut self, failure: &Failure) -> bool {
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

    async fn pause(&mut self) {
        let base = self.retry.as_ref().map_or(Duration::ZERO, |retry| retry.backoff);
        let doubled =
            base.saturating_mul(1 << (self.retries.saturating_sub(1)).min(16)).min(MAX_BACKOFF);
        let jitter = 0.5 + (self.random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0;
        tokio::time::sleep(doubled.mul_f64(jitter)).await;
    }

    fn give_back(&mut self, unsent: Option<Request<Body>>) {
        if let Some(request) = unsent {
            self.body = Some(request.into_body());
        }
    }

    fn request(
        &mut self,
        exchange: &Exchange,
        protocol: Protocol,
    ) -> Result<Request<Body>, Failure> {
        let replayed = || self.replay.clone().map(body::full);
        let body = self.body.take().or_else(replayed).ok_or(Failure::BodyBroken)?;
        build(exchange, protocol, body)
    }
}

/// The request as the application gets it.
fn build(exchange: &Exchange, protocol: Protocol, body: Body) -> Result<Request<Body>, Failure> {
    let head = &exchange.head;
    let bad = |_| Failure::Malformed("the request cannot be written as HTTP");
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    let authority = head.authority();
    match protocol {
        Protocol::Http1 => {
            *request.uri_mut() = head.target().parse::<Uri>().map_err(bad)?;
            let host = HeaderValue::try_from(&authority);
            let host =
                host.map_err(|_| Failure::Malformed("the host cannot be written as HTTP"))?;
            request.headers_mut().insert(header::HOST, host);
            if let Some(upgrade) = &head.upgrade {
                let headers = request.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, upgrade.clone());
            } else if request.headers().contains_key(header::TE) {
                request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        Protocol::Http2 => {
            let uri = format!("http://{authority}{}", head.target());
            *request.uri_mut() = uri.parse::<Uri>().map_err(bad)?;
            *request.version_mut() = Version::HTTP_2;
        }
    }
    Ok(request)
}

/// What the port says, else what the client speaks; gRPC is always HTTP/2, an upgrade never.
fn protocol(exchange: &Exchange) -> Protocol {
    let head = &exchange.head;
    if head.upgrade.is_some() {
        return Protocol::Http1;
    }
    let service = |service: &Service, port: u16| {
        service.ports.iter().find(|p| p.service == port).map(|p| p.app)
    };
    let app = match (&exchange.destination, &exchange.target) {
        (Some(Destination::Service(s, port)), _) => service(s, *port),
        (_, Target::Workload { services, address, .. }) => services.iter().find_map(|key| {
            let service = exchange.world.directory.service(key)?;
            service.ports.iter().find(|p| p.target == address.port()).map(|p| p.app)
        }),
        (_, Target::Service { .. }) => None,
    };
    match app.unwrap_or_default() {
        AppProtocol::Http2 | AppProtocol::Grpc => Protocol::Http2,
        AppProtocol::Http11 if !head.is_grpc() => Protocol::Http1,
        AppProtocol::Http11 | AppProtocol::Unknown | AppProtocol::Tcp | AppProtocol::Tls => {
            if head.version == Version::HTTP_2 { Protocol::Http2 } else { Protocol::Http1 }
        }
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// The answer's body: it ends the record and frees the connection.
struct ResponseBody {
    record: Option<crate::record::Record>,
    lease: Option<Lease>,
    upload: Option<Upload>,
    leash: Option<Leash>,
    /// What it is to be late.
    late: Option<Failure>,
}

impl ResponseBody {
    fn let_go(&mut self) {
        self.lease = None;
        if let Some(upload) = self.upload.take() {
            upload.sever();
        }
        if let Some(leash) = self.leash.take() {
            leash.release();
        }
    }
}

impl Observer for ResponseBody {
    fn data(&mut self, frame: &Bytes) {
        if let Some(record) = &mut self.record {
            record.received(frame.len() as u64);
        }
    }

    fn trailers(&mut self, trailers: &http::HeaderMap) {
        if let Some(record) = &mut self.record {
            record.grpc_status(trailers);
        }
    }

    fn end(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.complete();
        }
        // An application may answer first and read on.
        self.upload = None;
        self.let_go();
    }

    fn cut(&mut self, why: Cut) {
        if let Some(mut record) = self.record.take() {
            record.cut(why, self.late.take());
        }
        self.let_go();
    }
}

/// Whoever held it is gone: its client, or something from outside that has said why.
impl Drop for ResponseBody {
    fn drop(&mut self) {
        let outside =
            self.record.as_ref().and_then(|record| record.cut_from_outside().get().cloned());
        match outside {
            Some(why) => self.cut(why),
            None => self.let_go(),
        }
    }
}

/// What goes with the body of an answer, and ends with it.
pub struct Rest {
    /// Written.
    pub record: crate::record::Record,
    /// Given back.
    pub lease: Option<Lease>,
    /// The rest of the request: severed if the answer does not end in order.
    pub upload: Option<Upload>,
    /// When it must be complete, and what it is if it is late.
    pub deadline: Option<(Instant, Failure)>,
    /// What may end it before.
    pub standing: Option<Standing>,
    /// The same for a client that does not read.
    pub leash: Option<Leash>,
}

impl Rest {
    /// An answer of our own has nothing but its record.
    pub fn of(record: crate::record::Record) -> Self {
        let (lease, upload, deadline, standing, leash) = (None, None, None, None, None);
        Self { record, lease, upload, deadline, standing, leash }
    }
}

/// The body of an answer with what it ends. A body that is cut closes an HTTP/1.1 connection by
/// itself, and resets a stream of HTTP/2.
pub fn recorded(body: Body, rest: Rest) -> Body {
    let Rest { record, lease, upload, deadline, standing, leash } = rest;
    let (at, late) = deadline.unzip();
    let observer = ResponseBody { record: Some(record), lease, upload, leash, late };
    Observed::new(body, observer, at.map(Into::into), standing).boxed_unsync()
}
