//! HTTP connections to endpoints, kept for the next request.
//!
//! - `http2`: how those are made that many requests share

mod http2;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2::SendRequest as Http2;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::connect::Connect;
use crate::account::{Account, Place, Share, Shares};
use crate::authorize::Permit;
use crate::directory::balance::Endpoint;
use crate::failure::Failure;
use crate::http::body::Body;
use crate::http::upload::Upload;

/// HTTP/1.1 connections to one endpoint, busy and idle.
pub const MAX_HTTP1: usize = 1024;
/// Of them, and of the requests on HTTP/2 connections, those for one identity.
pub const MAX_OF_ONE: usize = 512;
/// Idle HTTP/1.1 connections kept to one endpoint.
pub const MAX_IDLE: usize = 64;
/// Requests on one HTTP/2 connection before another is opened.
pub const MAX_STREAMS: usize = 100;
/// HTTP/2 connections to one endpoint.
pub const MAX_HTTP2: usize = 16;
/// An idle connection is closed after this.
pub const IDLE: Duration = Duration::from_mins(1);
/// Endpoints whose connections are kept; beyond it those without use are forgotten.
pub const MAX_ENDPOINTS: usize = 4096;
/// Header of an answer, in bytes.
const MAX_ANSWER_HEADER: u32 = 64 * 1024;

/// The version that is spoken to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// With the address, so that a reused address is another endpoint.
    workload: Option<Arc<str>>,
    address: SocketAddr,
    protocol: Protocol,
}

/// Connections to every endpoint.
pub struct Connections {
    connect: Arc<dyn Connect>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

struct Slot {
    /// Requests under way, by the number of the account that they are charged to.
    shares: Arc<Shares<u64>>,
    idle: Mutex<Vec<(http1::SendRequest<Body>, Instant, Place)>>,
    open: Arc<AtomicUsize>,
    shared: Mutex<Vec<Shared>>,
    /// One handshake at a time; the others wait for it and then find room.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Shared {
    sender: Http2<Body>,
    streams: Arc<AtomicUsize>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            shares: Shares::new(MAX_OF_ONE),
            idle: Mutex::default(),
            open: Arc::default(),
            shared: Mutex::default(),
            connecting: Arc::default(),
        }
    }
}

/// Holds the connection of an answer until its body has ended.
#[expect(dead_code, reason = "held for their drops")]
pub struct Lease {
    held: Held,
    share: Option<Arc<Share<u64>>>,
}

/// For whom a request is made. Both of its places are taken until its answer has ended and its
/// body too: an answer may come early, and a body that nobody reads may stay long.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// What it is charged to.
    pub account: &'a Account,
    /// Its body, if it has one.
    pub upload: Option<&'a Upload>,
}

#[expect(dead_code, reason = "held for their drops")]
enum Held {
    Http1(ReturnHttp1),
    Http2(Arc<Place>),
}

/// Gives a connection back, if it can carry another request.
struct ReturnHttp1 {
    slot: Arc<Slot>,
    sender: Option<(http1::SendRequest<Body>, Place)>,
}

impl Drop for ReturnHttp1 {
    fn drop(&mut self) {
        let Some((sender, place)) = self.sender.take() else { return };
        let mut idle = lock(&self.slot.idle);
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push((sender, Instant::now(), place));
        }
    }
}

/// Why a request was not answered.
pub struct SendError {
    /// Why.
    pub failure: Failure,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Request<Body>>,
}

impl Connections {
    /// None yet.
    pub fn new(connect: Arc<dyn Connect>) -> Self {
        Self { connect, slots: Mutex::default() }
    }

    /// The way to endpoints without HTTP.
    pub fn connector(&self) -> &dyn Connect {
        &*self.connect
    }

    /// Sends `request` and gives its answer with the lease of its connection. It is charged to
    /// its `source`, if it is made for somebody.
    ///
    /// Ready with the head of the answer. No retry, except that a kept connection which the
    /// application closed meanwhile is replaced by a new one.
    ///
    /// Cancel safe: dropping it resets the exchange.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        protocol: Protocol,
        permit: &Permit,
        source: Option<Source<'_>>,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let slot = self.slot(endpoint, protocol);
        let share = source.map(|source| slot.shares.take(source.account.number).map(Arc::new));
        if let Some(None) = share {
            let failure = Failure::Overflow { address: endpoint.address, limit: MAX_OF_ONE };
            return Err(SendError { failure, unsent: Some(request) });
        }
        let share = share.flatten();
        let upload = source.and_then(|source| source.upload);
        if let (Some(upload), Some(share)) = (upload, &share) {
            upload.hold_share(Arc::clone(share));
        }
        let lease = |(response, held)| (response, Lease { held, share });
        // A kept connection may be gone without our knowledge; a new one is the last word.
        for fresh in [false, true] {
            let sent = match protocol {
                Protocol::Http1 => self.send_http1(&slot, endpoint, permit, request, fresh).await,
                Protocol::Http2 => self.send_http2(&slot, endpoint, permit, upload, request).await,
            };
            match sent {
                Err(SendError {
                    failure: Failure::Broken { unsent: true, .. },
                    unsent: Some(back),
                }) if !fresh => {
                    request = back;
                }
                sent => return sent.map(lease),
            }
        }
        unreachable!("the second round returns")
    }

    fn slot(&self, endpoint: &Endpoint, protocol: Protocol) -> Arc<Slot> {
        let workload = endpoint.workload.as_ref().map(|workload| workload.uid.clone());
        let key = Key { workload, address: endpoint.address, protocol };
        let mut slots = lock(&self.slots);
        if slots.len() >= MAX_ENDPOINTS && !slots.contains_key(&key) {
            slots.retain(|_, slot| slot.prune());
        }
        Arc::clone(slots.entry(key).or_default())
    }

    /// Closes what was idle for long; called now and then.
    pub fn prune(&self) {
        lock(&self.slots).retain(|_, slot| slot.prune());
    }

    async fn send_http1(
        &self,
        slot: &Arc<Slot>,
        endpoint: &Endpoint,
        permit: &Permit,
        request: Request<Body>,
        fresh: bool,
    ) -> Result<(Response<Incoming>, Held), SendError> {
        let kept = if fresh { None } else { slot.take_idle() };
        let taken = match kept {
            Some(kept) => Ok(kept),
            None => self.open_http1(slot, endpoint, permit).await,
        };
        let (mut sender, place) = match taken {
            Ok(taken) => taken,
            Err(failure) => return Err(SendError { failure, unsent: Some(request) }),
        };
        match sender.try_send_request(request).await {
            Ok(response) => {
                let slot = Arc::clone(slot);
                let held = ReturnHttp1 { slot, sender: Some((sender, place)) };
                Ok((response, Held::Http1(held)))
            }
            Err(mut error) => {
                let unsent = error.take_message();
                Err(broken(endpoint, &error.into_error(), unsent))
            }
        }
    }

    async fn open_http1(
        &self,
        slot: &Slot,
        endpoint: &Endpoint,
        permit: &Permit,
    ) -> Result<(http1::SendRequest<Body>, Place), Failure> {
        let address = endpoint.address;
        let place = Place::take(&slot.open, MAX_HTTP1);
        let place = place.ok_or(Failure::Overflow { address, limit: MAX_HTTP1 })?;
        let stream = self.connect.connect(endpoint, permit).await?;
        let mut builder = http1::Builder::new();
        builder.max_header_size(MAX_ANSWER_HEADER as usize).max_headers(200);
        let shaken = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            shaken.map_err(|error| broken(endpoint, &error, None).failure)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(peer = %address, %error, "connection to an application ended");
            }
        });
        Ok((sender, place))
    }

    async fn send_http2(
        &self,
        slot: &Arc<Slot>,
        endpoint: &Endpoint,
        permit: &Permit,
        upload: Option<&Upload>,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Held), SendError> {
        let (mut sender, place) = match self.reserve(slot, endpoint, permit).await {
            Ok(reserved) => reserved,
            Err(failure) => return Err(SendError { failure, unsent: Some(request) }),
        };
        let place = Arc::new(place);
        if let Some(upload) = upload {
            upload.hold_place(Arc::clone(&place));
        }
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, Held::Http2(place))),
            Err(mut error) => {
                let unsent = error.take_message();
                Err(broken(endpoint, &error.into_error(), unsent))
            }
        }
    }

    async fn reserve(
        &self,
        slot: &Arc<Slot>,
        endpoint: &Endpoint,
        permit: &Permit,
    ) -> Result<(Http2<Body>, Place), Failure> {
        if let Some(found) = slot.find_shared() {
            return Ok(found);
        }
        let turn = Arc::clone(&slot.connecting).lock_owned().await;
        if let Some(found) = slot.find_shared() {
            return Ok(found);
        }
        if lock(&slot.shared).len() >= MAX_HTTP2 {
            return Err(Failure::Overflow { address: endpoint.address, limit: MAX_HTTP2 });
        }
        let (mut caller, made) = oneshot::channel();
        let connecting = http2::open(
            Arc::clone(&self.connect),
            Arc::clone(slot),
            endpoint.clone(),
            permit.clone(),
        );
        // A task of its own: a caller with less time than a handshake takes, such as a check of
        // an authorizer, would throw every connection away before it is there.
        tokio::spawn(async move {
            let _turn = turn;
            let made = tokio::select! {
                made = connecting => made,
                () = http2::abandoned(&mut caller) => return,
            };
            let _ = caller.send(made);
        });
        let gone = || Failure::Broken {
            address: endpoint.address,
            reason: "the attempt to connect was given up".to_owned(),
            unsent: true,
        };
        made.await.map_err(|_| gone())?
    }
}

impl Slot {
    fn take_idle(&self) -> Option<(http1::SendRequest<Body>, Place)> {
        let mut idle = lock(&self.idle);
        idle.retain(|(sender, since, _)| !sender.is_closed() && since.elapsed() < IDLE);
        let at = idle.iter().rposition(|(sender, ..)| sender.is_ready())?;
        let (sender, _, place) = idle.swap_remove(at);
        Some((sender, place))
    }

    fn find_shared(&self) -> Option<(Http2<Body>, Place)> {
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.sender.is_closed());
        shared.iter().find_map(|connection| {
            Some((connection.sender.clone(), Place::take(&connection.streams, MAX_STREAMS)?))
        })
    }

    /// Whether anything is left.
    fn prune(&self) -> bool {
        let mut idle = lock(&self.idle);
        idle.retain(|(sender, since, _)| !sender.is_closed() && since.elapsed() < IDLE);
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.sender.is_closed());
        !(idle.is_empty() && shared.is_empty()) || self.open.load(Ordering::Acquire) > 0
    }
}

fn broken(endpoint: &Endpoint, error: &hyper::Error, unsent: Option<Request<Body>>) -> SendError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    let failure = Failure::Broken { address: endpoint.address, reason, unsent: unsent.is_some() };
    SendError { failure, unsent }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
