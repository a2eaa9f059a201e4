//! Pods from `control`'s node service (docs/wire.md, "The node service").

use std::time::Duration;

use hbone::channel::{ChannelError, ControlPlane};
use hbone::wire::pb::ambit::node::v1 as pb;
use pb::node_service_client::NodeServiceClient;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Backoff, PodEvent, PodSource, Reports};
use crate::pod::{Pod, Uid};

/// Most pods of one node; `control` would have to be broken to name more.
pub const MAX_PODS: usize = 4096;

/// Longest message that is taken, in bytes: a snapshot of [`MAX_PODS`] pods with annotations.
const MAX_MESSAGE: usize = 16 << 20;

/// How long the snapshot may take to come.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(30);

/// A stream that lived so long ended in the ordinary way.
const HEALTHY: Duration = Duration::from_secs(10);

/// The node-scoped stream.
pub struct ControlSource {
    control: ControlPlane,
    credential: watch::Receiver<bool>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("no connection")]
    Connect(#[from] ChannelError),
    #[error("the stream failed: {} {:?}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    #[error("control sent no snapshot within 30 s")]
    NoSnapshot,
    #[error("control ended the stream")]
    Ended,
    #[error("a snapshot of {0} pods; a node has at most 4096")]
    TooManyPods(usize),
    #[error("a change came before the snapshot")]
    OutOfOrder,
    #[error("the agent stops")]
    Stopping,
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl ControlSource {
    /// Asks the servers of `control`, once `credential` says that the node credential which
    /// its calls carry is there.
    pub fn new(control: ControlPlane, credential: watch::Receiver<bool>) -> Self {
        Self { control, credential }
    }

    async fn stream(
        &self,
        events: &mpsc::Sender<PodEvent>,
        reports: &Reports,
    ) -> Result<(), StreamError> {
        let channel = self.control.connect().await?;
        let mut client = NodeServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let (outgoing, queue) = mpsc::channel(16);
        let hello = pb::Hello { version: env!("CARGO_PKG_VERSION").to_owned() };
        let hello = pb::NodeReport { report: Some(pb::node_report::Report::Hello(hello)) };
        outgoing.send(hello).await.map_err(|_| StreamError::Ended)?;
        let opening = timeout(SNAPSHOT_DEADLINE, client.watch(ReceiverStream::new(queue)));
        let updates = opening.await.map_err(|_| StreamError::NoSnapshot)??.into_inner();
        reports.tell_all();
        tokio::select! {
            ended = receive(updates, events) => ended,
            ended = send(reports, outgoing) => ended,
        }
    }
}

impl PodSource for ControlSource {
    async fn run(
        mut self,
        events: mpsc::Sender<PodEvent>,
        reports: Reports,
        stop: CancellationToken,
    ) {
        tokio::select! {
            there = self.credential.wait_for(|there| *there) => if there.is_err() { return },
            () = stop.cancelled() => return,
        }
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(15));
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                ended = self.stream(&events, &reports) => ended,
                () = stop.cancelled() => return,
            };
            match ended {
                Ok(()) | Err(StreamError::Stopping) => return,
                Err(error) => {
                    let reason = crate::chain(&error);
                    warn!(reason, servers = self.control.servers(), "lost the stream of pods");
                    if matches!(error, StreamError::NoSnapshot) {
                        self.control.give_up_address();
                    }
                }
            }
            if started.elapsed() >= HEALTHY {
                backoff.reset();
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.delay()) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

async fn send(
    reports: &Reports,
    outgoing: mpsc::Sender<pb::NodeReport>,
) -> Result<(), StreamError> {
    loop {
        let room = outgoing.reserve().await.map_err(|_| StreamError::Ended)?;
        let (uid, report) = reports.next().await;
        room.send(report.to_wire(&uid));
    }
}

async fn receive(
    mut updates: tonic::Streaming<pb::NodeUpdate>,
    events: &mpsc::Sender<PodEvent>,
) -> Result<(), StreamError> {
    let first = timeout(SNAPSHOT_DEADLINE, updates.next()).await;
    let mut update = first.map_err(|_| StreamError::NoSnapshot)?;
    let mut synced = false;
    while let Some(message) = update {
        if let Some(event) = event(message?, synced)? {
            synced = true;
            events.send(event).await.map_err(|_| StreamError::Stopping)?;
        }
        update = updates.next().await;
    }
    Err(StreamError::Ended)
}

/// What an update means; a pod that cannot be understood is left as it is known.
fn event(update: pb::NodeUpdate, synced: bool) -> Result<Option<PodEvent>, StreamError> {
    use pb::node_update::Update;
    match update.update {
        Some(Update::Snapshot(snapshot)) if snapshot.pods.len() > MAX_PODS => {
            Err(StreamError::TooManyPods(snapshot.pods.len()))
        }
        Some(Update::Snapshot(snapshot)) => {
            let pods = snapshot.pods.into_iter().filter_map(understood).collect::<Vec<_>>();
            info!(pods = pods.len(), "received the pods of this node");
            Ok(Some(PodEvent::Snapshot(pods)))
        }
        Some(_) if !synced => Err(StreamError::OutOfOrder),
        Some(Update::Pod(pod)) => Ok(understood(pod).map(|pod| PodEvent::Changed(Box::new(pod)))),
        Some(Update::Removed(removed)) => Ok(Some(PodEvent::Removed(Uid::from(removed.uid)))),
        // A newer control may say more than we know.
        None => Ok(None),
    }
}

fn understood(pod: pb::Pod) -> Option<Pod> {
    match Pod::try_from(pod) {
        Ok(pod) => Some(pod),
        Err(error) => {
            warn!(%error, "pod not taken");
            None
        }
    }
}
