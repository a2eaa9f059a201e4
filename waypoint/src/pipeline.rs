//! The order in which a request is decided on.
//!
//! ```text
//! distrust -> match -> external authorization -> JWT -> policy -> rewrite -> forward
//! ```
//!
//! A stage sees the exchange and its own configuration and knows no other stage. Policy comes
//! after external authorization, since an authorizer may change what policy looks at, and after
//! the token was verified, since policy may name its bearer; it leaves the permit that
//! forwarding takes. What only a verified token may say is taken away before anything else.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body::Frame;
use http_body_util::BodyExt;

use crate::account::Place;
use crate::authorize::{Asked, Permit};
use crate::config::route::{Backend, BackendTarget, HeaderEdits, Rule};
use crate::config::snapshot::Snapshot;
use crate::directory::{Directory, Target};
use crate::failure::Failure;
use crate::http::body::{self, Body};
use crate::http::head::Head;
use crate::http::reply::Reply;
use crate::http::upload::Upload;
use crate::inbound::Inbound;
use crate::record::Record;
use crate::token::Bearer;

/// What was known when the request began; it does not change under it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Routes, policies, providers.
    pub config: Arc<Snapshot>,
    /// Workloads and services.
    pub directory: Arc<Directory>,
}

/// A request on its way.
pub struct Exchange {
    /// The head; stages change it, in a copy of their own if it is shared.
    pub head: Arc<Head>,
    /// The body; taken by what sends it on.
    pub body: Body,
    /// The tunnel that it came on.
    pub inbound: Arc<Inbound>,
    /// What that tunnel is addressed to, as it is now.
    pub target: Target,
    /// The state that decides.
    pub world: World,
    /// When it arrived.
    pub arrived: Instant,
    /// Numbers for its choices.
    pub random: [u64; 2],
    /// The rule that matched; none if the service has no route.
    pub rule: Option<Matched>,
    /// Where it goes; set by the match.
    pub destination: Option<Destination>,
    /// Changes of the answer's header, in order.
    pub response_edits: HeaderEdits,
    /// Fields that only a verified token may say; none if there are none.
    pub reserved: Option<Arc<[http::HeaderName]>>,
    /// Whose token it carries, once that is verified.
    pub bearer: Option<Arc<Bearer>>,
    /// Set by policy.
    pub permit: Option<Permit>,
    /// The head that policy saw.
    pub judged: Option<Arc<Head>>,
    /// The authorizers that have allowed it.
    pub asked: Asked,
    /// Its body, once it is on its way.
    pub upload: Option<Upload>,
    /// What is recorded of it.
    pub record: Record,
}

/// A rule and what it matched.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The path, or its beginning, that the rule names.
    pub path: String,
    /// Position of the chosen backend.
    pub backend: Option<usize>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A port of a service.
    Service(Arc<hbone::wire::workload::Service>, u16),
    /// The workload that was addressed.
    Addressed,
}

/// What a stage decided.
#[derive(Debug)]
pub enum Flow {
    /// The next stage decides.
    Continue,
    /// The request is answered.
    Reply(Box<Reply>),
}

/// One step of the pipeline. Knows the exchange and its own configuration, no other stage.
pub trait Stage {
    /// Its name in metrics, logs and explanations.
    const NAME: &'static str;
    /// Decides on the request head; bodies stream past.
    fn on_request(&self, exchange: &mut Exchange) -> impl Future<Output = Flow> + Send;
}

impl From<Failure> for Flow {
    fn from(failure: Failure) -> Self {
        Self::Reply(Box::new(Reply::failure(failure)))
    }
}

impl Exchange {
    /// The chosen backend.
    pub fn backend(&self) -> Option<&Backend> {
        let matched = self.rule.as_ref()?;
        matched.rule.backends.get(matched.backend?)
    }

    /// Takes the body out.
    pub fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, body::empty())
    }

    /// When the route wants the answer to be complete.
    pub fn deadline(&self) -> Option<(Instant, Duration)> {
        let limit = self.rule.as_ref()?.rule.request_timeout?;
        Some((self.arrived + limit, limit))
    }

    /// Reads up to `max` bytes of the body and puts them back, with `room`, which is given up
    /// when they are sent: what was read, and whether that was all.
    pub async fn peek_body(
        &mut self,
        max: usize,
        room: [Place; 2],
    ) -> Result<(bytes::Bytes, bool), Failure> {
        use http_body::Body as _;
        let mut body = self.take_body();
        let mut read = bytes::BytesMut::new();
        let mut trailers = None;
        while read.len() <= max && trailers.is_none() && !body.is_end_stream() {
            match body.frame().await {
                None => break,
                Some(Err(_)) => return Err(Failure::BodyBroken),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => read.extend_from_slice(&data),
                    Err(frame) => trailers = Some(frame),
                },
            }
        }
        let read = read.freeze();
        let data = (!read.is_empty()).then(|| Frame::data(read.clone()));
        self.body = body::prefixed(data.into_iter().chain(trailers).collect(), body, Some(room));
        Ok((read.slice(..read.len().min(max)), read.len() <= max))
    }
}

impl BackendTarget {
    /// The service that `world` has for this backend.
    pub(crate) fn resolve(&self, rule: &Rule, world: &World) -> Result<Destination, Failure> {
        match self {
            Self::Invalid(reason) => {
                Err(Failure::Misconfigured { route: rule.object.clone(), reason: reason.clone() })
            }
            Self::Service { service, port } => {
                let found = world.directory.service(service);
                let unknown = || Failure::UnknownService { service: service.clone(), port: *port };
                let found = found.filter(|s| s.ports.iter().any(|p| p.service == *port));
                Ok(Destination::Service(found.ok_or_else(unknown)?.clone(), *port))
            }
        }
    }
}
