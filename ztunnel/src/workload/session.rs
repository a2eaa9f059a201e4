//! One connection to the node agent: each request is answered before the next is read.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use hbone::netns::Netns;
use hbone::wire::pb::istio::workload::zds as pb;
use pb::workload_request::Payload;
use prost::Message;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::manager::RequestError;
use super::socket::{MAX_PACKET, Packet, PacketSocket};
use super::{PodInfo, PodProxies, WorkloadManager};

/// How often a failed start is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Longest error in an answer, in bytes; the packet has a bound.
pub(super) const MAX_ERROR: usize = MAX_PACKET / 2;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("the agent closed the connection")]
    Closed,
    #[error("the agent broke the protocol: {0}")]
    Protocol(String),
    #[error("shutting down")]
    Shutdown,
}

/// How a connection ended, and whether its snapshot was complete.
pub(super) struct Ended {
    pub(super) error: SessionError,
    pub(super) complete: bool,
}

/// Connects and says hello.
pub(super) async fn connect(path: &Path) -> io::Result<PacketSocket> {
    let socket = PacketSocket::connect(path)?;
    let hello = pb::ZdsHello { version: pb::Version::V1.into() };
    socket.send(&hello.encode_to_vec()).await?;
    Ok(socket)
}

impl<P: PodProxies> WorkloadManager<P> {
    /// Serves one connection until it ends.
    pub(super) async fn session(
        &mut self,
        socket: PacketSocket,
        shutdown: &CancellationToken,
    ) -> Ended {
        self.manager.begin();
        let error = self.requests(&socket, shutdown).await;
        Ended { error, complete: self.manager.has_snapshot() }
    }

    async fn requests(
        &mut self,
        socket: &PacketSocket,
        shutdown: &CancellationToken,
    ) -> SessionError {
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        retry.reset();
        loop {
            self.ready.set_ready(self.manager.is_settled());
            let packet = tokio::select! {
                biased;
                () = shutdown.cancelled() => return SessionError::Shutdown,
                packet = socket.receive() => packet,
                _ = retry.tick(), if self.manager.has_pending() => {
                    self.manager.retry().await;
                    continue;
                }
            };
            let handled = match packet {
                Ok(Some(packet)) => self.handle(packet).await,
                Ok(None) => return SessionError::Closed,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Err(Fault::Broken(error.to_string()))
                }
                Err(error) => return SessionError::Socket(error),
            };
            if let Err(end) = answer(socket, handled).await {
                return end;
            }
        }
    }

    /// Carries out one request. A descriptor that is not used is closed on return.
    async fn handle(&mut self, packet: Packet) -> Result<(), Fault> {
        let request = pb::WorkloadRequest::decode(packet.data.as_slice())
            .map_err(|error| Fault::Broken(format!("the request cannot be decoded: {error}")))?;
        let payload = request.payload.ok_or_else(|| broken("an empty request"))?;
        let mut descriptors = packet.descriptors;
        if let Payload::Add(add) = payload {
            let descriptor = descriptors.pop().ok_or_else(|| broken("Add without descriptor"))?;
            if !descriptors.is_empty() {
                return Err(broken("Add with more than one descriptor"));
            }
            return self.add(add, descriptor).await;
        }
        if !descriptors.is_empty() {
            return Err(broken("a descriptor with a request that is no Add"));
        }
        match payload {
            Payload::Keep(keep) => self.manager.keep(keep.uid)?,
            Payload::SnapshotSent(_) => self.manager.snapshot_sent()?,
            Payload::Del(del) => self.manager.del(&del.uid),
            Payload::Add(_) => {}
        }
        Ok(())
    }

    async fn add(&mut self, add: pb::AddWorkload, descriptor: OwnedFd) -> Result<(), Fault> {
        let Some(info) = add.workload_info else {
            return Err(broken("Add without workload_info"));
        };
        if add.uid.is_empty() {
            return Err(broken("Add without uid"));
        }
        self.manager.name(&add.uid);
        let netns = Netns::from_fd(descriptor).map_err(|error| {
            let uid = &add.uid;
            Fault::Refused(format!("pod {uid}: the descriptor is no network namespace: {error}"))
        })?;
        let pb::WorkloadInfo { name, namespace, service_account } = info;
        let info = PodInfo { uid: add.uid, name, namespace, service_account };
        Ok(self.manager.add(info, netns).await?)
    }
}

/// A request that is answered with an error.
enum Fault {
    /// This one only.
    Refused(String),
    /// The connection ends as well: nothing that follows can be trusted.
    Broken(String),
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Start(..) | RequestError::TooMany(_) => Self::Refused(error.to_string()),
            RequestError::Protocol(_) => Self::Broken(error.to_string()),
        }
    }
}

fn broken(text: &str) -> Fault {
    Fault::Broken(text.to_owned())
}

async fn answer(socket: &PacketSocket, handled: Result<(), Fault>) -> Result<(), SessionError> {
    let (error, ends) = match handled {
        Ok(()) => (String::new(), false),
        Err(Fault::Refused(error)) => (error, false),
        Err(Fault::Broken(error)) => (error, true),
    };
    let short = error.chars().take(MAX_ERROR / 4).collect();
    let ack = pb::workload_response::Payload::Ack(pb::Ack { error: short });
    let response = pb::WorkloadResponse { payload: Some(ack) };
    socket.send(&response.encode_to_vec()).await?;
    if ends { Err(SessionError::Protocol(error)) } else { Ok(()) }
}
