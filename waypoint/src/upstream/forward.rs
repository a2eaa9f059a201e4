//! A request's tries, their deadlines and their answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone::wire::workload::{AppProtocol, Service, Workload};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::pool::{Connections, Lease, Protocol, SendError};
use crate::authorize::{Permit, Revoked};
use crate::directory::Target;
use crate::directory::balance::{self, Endpoint};
use crate::failure::Failure;
use crate::http::body::{self, Body, Observed, Observer};
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
    /// When it must be complete.
    pub deadline: Option<Instant>,
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
    /// Ready with the head of the answer.
    pub async fn forward(
        &self,
        exchange: &mut Exchange,
        own: Option<&Workload>,
    ) -> Result<Answer, Failure> {
        let reason = "the request was not permitted before it was to be sent".to_owned();
        let missing = || Failure::Misconfigured {
            route: crate::config::object::ObjectName::from_wire(None),
            reason,
        };
        let permit = exchange.permit.clone().ok_or_else(missing)?;
        let mut tries = Tries::begin(exchange).await?;
        match exchange.deadline() {
            None => self.tries(exchange, &permit, &mut tries, own).await,
            Some((at, limit)) => {
                let tries = self.tries(exchange, &permit, &mut tries, own);
                let answered = tokio::time::timeout_at(at.into(), tries).await;
                answered.unwrap_or(Err(Failure::RequestTimeout { limit }))
            }
        }
    }

    async fn tries(
        &self,
        exchange: &mut Exchange,
        permit: &Permit,
        tries: &mut Tries,
        own: Option<&Workload>,
    ) -> Result<Answer, Failure> {
        loop {
            let endpoint = tries.choose(exchange, own)?;
            exchange.record.attempt(&endpoint);
            let answer = self.once(exchange, permit, tries, &endpoint).await;
            match answer {
                Ok(answer) if tries.wants_other(&answer) => {
                    drop(answer);
                    tries.pause().await;
                }
                Ok(answer) => return Ok(answer),
                Err(failure) if tries.next_endpoint(&failure) => tries.tried.push(endpoint.address),
                Err(failure) if tries.retries(&failure) => {
                    tries.tried.push(endpoint.address);
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
        let sending = self.connections.send(endpoint, protocol, permit, Some(&account), request);
        let sent = match limit {
            None => sending.await,
            Some(limit) => match tokio::time::timeout(limit, sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(Failure::BackendTimeout { address: endpoint.address, limit }),
            },
        };
        let whole = exchange.deadline().map(|(at, _)| at);
        let deadline = [whole, limit.map(|limit| began + limit)].into_iter().flatten().min();
        match sent {
            Ok((response, lease)) => Ok(Answer { response, lease, deadline }),
            Err(SendError { failure, unsent }) => {
                tries.give_back(unsent);
                if tries.body_broke.load(Ordering::Relaxed) {
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
    retries: u32,
    sent: Arc<AtomicU64>,
    body_broke: Arc<AtomicBool>,
    retry: Option<crate::config::route::Retry>,
    random: u64,
    idempotent: bool,
}

impl Tries {
    async fn begin(exchange: &mut Exchange) -> Result<Self, Failure> {
        let retry = exchange.rule.as_ref().and_then(|matched| matched.rule.retry.clone());
        let mut body = exchange.take_body();
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
            retries: 0,
            sent: exchange.record.sent(),
            body_broke: Arc::default(),
            retry,
            random,
            idempotent: is_idempotent(&exchange.head.method),
        })
    }

    fn choose(&mut self, exchange: &Exchange, own: Option<&Workload>) -> Result<Endpoint, Failure> {
        self.random = self.random.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let directory = &exchange.world.directory;
        let none = |service: String, port| Failure::NoEndpoint { service, port };
        match (&exchange.destination, &exchange.inbound.target) {
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
                Err(none("of the request".to_owned(), exchange.inbound.target.address().port()))
            }
        }
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
        let observer = RequestBody { sent: self.sent.clone(), broke: self.body_broke.clone() };
        let counted = Counted { inner: body, observer };
        build(exchange, protocol, counted.boxed_unsync())
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
    let app = match (&exchange.destination, &exchange.inbound.target) {
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

/// The request's body: counted, and remembered if the client breaks it off.
struct RequestBody {
    sent: Arc<AtomicU64>,
    broke: Arc<AtomicBool>,
}

struct Counted {
    inner: Body,
    observer: RequestBody,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = body::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, body::BoxError>>> {
        let frame = std::task::ready!(std::pin::Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let n = frame.data_ref().map_or(0, Bytes::len);
                self.observer.sent.fetch_add(n as u64, Ordering::Relaxed);
            }
            Some(Err(_)) => self.observer.broke.store(true, Ordering::Relaxed),
            None => {}
        }
        std::task::Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

/// The answer's body: it ends the record and frees the connection.
struct ResponseBody {
    record: Option<crate::record::Record>,
    lease: Option<Lease>,
}

impl Observer for ResponseBody {
    fn data(&mut self, frame: &Bytes) {
        if let Some(record) = &mut self.record {
            record.received(frame.len());
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
        self.lease = None;
    }

    fn revoked(&mut self, revoked: Revoked) {
        if let Some(record) = &mut self.record {
            record.failed(&revoked.into());
        }
    }
}

/// The body of an answer, which ends `record`. `lease` is given back with its end; a body
/// that is cut closes an HTTP/1.1 connection by itself, and resets a stream of HTTP/2.
pub fn recorded(
    body: Body,
    record: crate::record::Record,
    lease: Option<Lease>,
    deadline: Option<Instant>,
    standing: Option<Standing>,
) -> Body {
    let observer = ResponseBody { record: Some(record), lease };
    Observed::new(body, observer, deadline.map(Into::into), standing).boxed_unsync()
}
