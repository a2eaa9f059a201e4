//! One connected proxy: hello, snapshot, then one request at a time with its answer.

use std::os::fd::AsFd;
use std::time::Duration;

use hbone::wire::pb::istio::workload::zds as pb;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::packet::{MAX_PACKET, PacketSocket};
use super::{Answer, Request, Zds};

/// How long one packet may take to be written or answered.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("{0} took longer than 5 s")]
    Deadline(&'static str),
    #[error("cannot exchange packets")]
    Io(#[from] std::io::Error),
    #[error("the proxy closed the connection")]
    Closed,
    #[error("the proxy sent a packet that nothing asked for")]
    Unsolicited,
    #[error("the first packet is no hello of version 1")]
    Hello,
    #[error("the packet is no answer")]
    NoAnswer,
    #[error("the message is {0} bytes; at most 1024 fit")]
    TooLong(usize),
}

/// Serves one proxy until it goes, breaks the protocol or `stop`.
pub(super) async fn run(zds: Zds, socket: PacketSocket, stop: CancellationToken) {
    if let Err(error) = hello(&socket).await {
        warn!(%error, "proxy refused");
        return;
    }
    let (id, snapshot, queue) = zds.join(stop.clone());
    info!(pods = snapshot.len() - 1, "proxy connected");
    let work = serve(&zds, &socket, snapshot, queue);
    tokio::select! {
        ended = work => match ended {
            Ok(()) | Err(SessionError::Closed) => {}
            Err(error) => warn!(%error, "proxy dropped"),
        },
        () = stop.cancelled() => {}
    }
    zds.leave(id);
}

async fn hello(socket: &PacketSocket) -> Result<(), SessionError> {
    let packet = receive(socket, "the hello").await?;
    let hello = pb::ZdsHello::decode(&packet[..]).map_err(|_| SessionError::Hello)?;
    if hello.version() == pb::Version::V1 { Ok(()) } else { Err(SessionError::Hello) }
}

async fn serve(
    zds: &Zds,
    socket: &PacketSocket,
    snapshot: Vec<Request>,
    mut queue: mpsc::Receiver<Request>,
) -> Result<(), SessionError> {
    for request in snapshot {
        exchange(zds, socket, request).await?;
    }
    loop {
        tokio::select! {
            request = queue.recv() => match request {
                Some(request) => exchange(zds, socket, request).await?,
                None => return Ok(()),
            },
            // Between requests the proxy has nothing to say, so what can be read is its end
            // or a fault.
            packet = socket.receive() => {
                let closed = packet?.is_empty();
                return Err(if closed { SessionError::Closed } else { SessionError::Unsolicited });
            }
        }
    }
}

/// Sends one request and takes its answer. Any failure ends the session: answers are matched
/// by order alone, so after a missing one the next would be taken for it.
async fn exchange(zds: &Zds, socket: &PacketSocket, request: Request) -> Result<(), SessionError> {
    let bytes = request.message.encode_to_vec();
    if bytes.len() > MAX_PACKET {
        return Err(SessionError::TooLong(bytes.len()));
    }
    let fd = request.netns.as_ref().map(|netns| netns.as_fd());
    let sent = timeout(DEADLINE, socket.send(&bytes, fd)).await;
    sent.map_err(|_| SessionError::Deadline("writing a request"))??;
    let packet = receive(socket, "the answer").await?;
    let response = pb::WorkloadResponse::decode(&packet[..]);
    let ack = response.map_err(|_| SessionError::NoAnswer)?.payload;
    let Some(pb::workload_response::Payload::Ack(ack)) = ack else {
        return Err(SessionError::NoAnswer);
    };
    let result = if ack.error.is_empty() { Ok(()) } else { Err(ack.error) };
    if let Some(uid) = &request.about {
        if let Err(reason) = &result {
            warn!(pod.uid = %uid, reason, "proxy refused a pod");
        }
        let answer = result.clone().map_or_else(Answer::Refused, |()| Answer::Acked);
        zds.remember(uid, answer);
    }
    if let Some(done) = request.done {
        // Who asked may have given up.
        let _ = done.send(result);
    }
    Ok(())
}

async fn receive(socket: &PacketSocket, what: &'static str) -> Result<Vec<u8>, SessionError> {
    let packet = timeout(DEADLINE, socket.receive()).await;
    let packet = packet.map_err(|_| SessionError::Deadline(what))??;
    if packet.is_empty() { Err(SessionError::Closed) } else { Ok(packet) }
}
