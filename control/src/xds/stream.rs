//! One discovery stream.
//!
//! At most one response of a type waits for its acknowledgement; what changes meanwhile goes
//! into the next one, at its latest state. So a slow client costs a position in a log, and one
//! that stops reading is cut.

use std::collections::HashMap;

use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use super::admission::{Client, admit};
use super::metrics::XdsMetrics;
use super::progress::{Position, Progress};
use super::service::Patience;
use super::subscription::{Answer, Subscription};
use super::types::{self, Type};
use crate::auth::Caller;
use crate::limits;

/// Where responses go.
pub(super) type Sink = mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>;

/// One stream.
pub(super) struct Stream {
    pub(super) caller: Caller,
    pub(super) requests: Streaming<DeltaDiscoveryRequest>,
    pub(super) sink: Sink,
    pub(super) types: Vec<Type>,
    pub(super) bell: watch::Receiver<u64>,
    pub(super) metrics: XdsMetrics,
    pub(super) patience: Patience,
    pub(super) progress: Progress,
}

impl Open {
    /// What the client has acknowledged of what a change of waypoints goes through.
    fn position(&self) -> Position {
        let of = |url| self.subscriptions.get(url).map_or(0, Subscription::acknowledged);
        Position { authorization: of(types::AUTHORIZATION), address: of(types::ADDRESS) }
    }
}

/// The state of a stream after its first request.
struct Open {
    client: Client,
    subscriptions: HashMap<&'static str, Subscription>,
    /// Since when each type waits for an acknowledgement.
    waiting: HashMap<&'static str, Instant>,
}

impl Stream {
    /// Serves until the client goes, has to be cut, or the stream is too old.
    pub(super) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(()) => return,
            Err(status) => status,
        };
        info!(caller = %self.caller, reason = end.message(), "discovery stream ended");
        // A client that does not read will not hear this; the stream ends all the same.
        let _ = self.sink.try_send(Err(end));
    }

    async fn serve(&mut self) -> Result<(), Status> {
        let expires = Instant::now() + self.patience.max_age;
        let first = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, self.requests.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no first request"))??;
        let Some(first) = first else { return Ok(()) };
        let client = admit(&self.caller, first.node.as_ref())?;
        info!(caller = %self.caller, client = client.id, "discovery stream open");
        let tracked = client.is_node_proxy.then(|| self.progress.enter());
        let mut open = Open { client, subscriptions: HashMap::new(), waiting: HashMap::new() };
        self.request(&mut open, &first).await?;
        loop {
            self.push(&mut open).await?;
            if let Some(tracked) = &tracked {
                tracked.note(open.position());
            }
            let deadline = open.waiting.values().min().map(|t| *t + self.patience.acknowledgement);
            tokio::select! {
                request = self.requests.message() => match request? {
                    Some(request) => self.request(&mut open, &request).await?,
                    None => return Ok(()),
                },
                changed = self.bell.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane is closing"))?;
                }
                () = at(deadline) => {
                    self.metrics.cut.inc();
                    return Err(Status::unavailable("a response was not acknowledged; resync"));
                }
                () = tokio::time::sleep_until(expires) => {
                    return Err(Status::unavailable("maximum age of the stream; reconnect"));
                }
                () = self.sink.closed() => return Ok(()),
            }
        }
    }

    async fn request(
        &self,
        open: &mut Open,
        request: &DeltaDiscoveryRequest,
    ) -> Result<(), Status> {
        if let Some(error) = &request.error_detail {
            self.metrics.rejected.inc();
            let reason: String = error.message.chars().take(1_000).collect();
            warn!(
                client = open.client.id,
                kind = request.type_url,
                reason,
                "client rejected resources"
            );
        }
        let Some(kind) = self.types.iter().find(|t| t.url == request.type_url) else {
            debug!(client = open.client.id, kind = request.type_url, "unknown type asked for");
            // Answered, empty, once: a client that waits for it is not held up for ever.
            if request.response_nonce.is_empty() {
                let type_url = request.type_url.clone();
                let nonce = "1".to_owned();
                self.send(DeltaDiscoveryResponse { type_url, nonce, ..Default::default() }).await?;
            }
            return Ok(());
        };
        let answer = if let Some(subscription) = open.subscriptions.get_mut(kind.url) {
            subscription.request(request).map_err(resync)?
        } else {
            let (subscription, response) =
                Subscription::begin(kind.clone(), &open.client, request).map_err(resync)?;
            open.subscriptions.insert(kind.url, subscription);
            Answer::Now(response)
        };
        if let Answer::Now(response) = answer {
            self.send(response).await?;
            open.waiting.insert(kind.url, Instant::now());
        }
        if open.subscriptions.get(kind.url).is_some_and(|s| !s.unacknowledged) {
            open.waiting.remove(kind.url);
        }
        Ok(())
    }

    /// Sends what changed, in the order of the types; a type waits while an earlier one has
    /// something to say that it cannot send yet.
    async fn push(&mut self, open: &mut Open) -> Result<(), Status> {
        self.bell.mark_unchanged();
        // The later types are read first: what they may name is then in the earlier ones.
        let behind: Vec<&'static str> = self
            .types
            .iter()
            .rev()
            .map(|t| t.url)
            .filter(|url| open.subscriptions.get(url).is_some_and(Subscription::is_behind))
            .collect();
        for kind in self.types.iter().map(|t| t.url).collect::<Vec<_>>() {
            let Some(subscription) = open.subscriptions.get_mut(kind) else { continue };
            if !behind.contains(&kind) && !subscription.is_behind() {
                continue;
            }
            if subscription.unacknowledged {
                return Ok(());
            }
            if let Some(response) = subscription.push().map_err(resync)? {
                self.send(response).await?;
                open.waiting.insert(kind, Instant::now());
            }
        }
        Ok(())
    }

    async fn send(&self, response: DeltaDiscoveryResponse) -> Result<(), Status> {
        let resources = response.resources.len() as u64;
        if let Ok(()) = self.sink.send_timeout(Ok(response), limits::SEND_TIMEOUT).await {
            self.metrics.responses.inc();
            self.metrics.resources.inc_by(resources);
            Ok(())
        } else {
            self.metrics.cut.inc();
            Err(Status::unavailable("the client does not read; resync"))
        }
    }
}

fn resync(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
