//! A request's tries, their deadlines and their answer.
//!
//! - `tries`: what is left of a request between them, and whether there is another
//! - `request`: the request as the application gets it
//! - `recorded`: the body of the answer, with everything that ends with it

mod recorded;
mod request;
mod tries;

use std::sync::Arc;
use std::time::Instant;

use hbone::resolve::Resolver;
use hbone::wire::workload::Workload;
use http::Response;
use hyper::body::Incoming;

pub use self::recorded::{Rest, recorded};
use self::request::protocol;
use self::tries::Tries;
use super::pool::{Connections, Lease, SendError, Source};
use super::resolve::settle;
use crate::authorize::Permit;
use crate::directory::balance::Endpoint;
use crate::failure::Failure;
use crate::http::upload::Upload;
use crate::pipeline::Exchange;
use crate::standing::Standing;

/// Endpoints that a request tries when none of its bytes was sent.
pub const MAX_ENDPOINTS_TRIED: usize = 3;
/// Longest body that is kept to be sent again, if its route retries.
pub const MAX_REPLAY: u64 = 64 * 1024;

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
    resolver: Resolver,
}

impl Forwarder {
    /// Sends on `connections`, and looks names up by `resolver`.
    pub fn new(connections: Connections, resolver: Resolver) -> Self {
        Self { connections, resolver }
    }

    /// Addresses of names.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
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
        exchange.record.destination(exchange.destination.as_ref());
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
                Ok(chosen) => {
                    let source = &exchange.inbound.account.name;
                    let host = Some(exchange.head.host.as_str());
                    settle(&self.resolver, chosen, host, source, &tries.tried, tries.random).await
                }
                Err(none) => Err(none),
            };
            // Those that there are have failed: that is the reason, not that there are none.
            let endpoint = endpoint.map_err(|none| tries.last.take().unwrap_or(none))?;
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
