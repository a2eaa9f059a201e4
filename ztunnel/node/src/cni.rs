//! The call by which a pod is announced before its programs start: HTTP over a unix socket in
//! the run directory (docs/wire.md, "The CNI call").
//!
//! A pod that takes part is captured before the answer; any other answer than 200 makes the
//! caller fail the pod's start, so that it cannot run unprotected.

mod message;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::handle::{OpenError, open};
use crate::pods::{CaptureError, Pods};
use message::{Announcement, MessageError};

/// Name of the socket in the run directory.
pub const SOCKET: &str = "pluginevent.sock";

/// Longest body, in bytes.
pub const MAX_BODY: usize = 64 << 10;

/// Calls at once; further ones wait in the socket's backlog.
pub const MAX_CALLS: usize = 256;

/// How long one connection may last: the caller gives up after 5 s.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long the head of a request may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(2);

/// Why a call is not answered with 200.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("there is only POST /cmdadd")]
    Route,
    #[error("the body is longer than 64 KiB or broke off")]
    Body,
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Netns(#[from] OpenError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error("the call cannot be worked on")]
    Task(#[from] tokio::task::JoinError),
}

impl CallError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Route => StatusCode::NOT_FOUND,
            Self::Body | Self::Message(_) => StatusCode::BAD_REQUEST,
            Self::Netns(_) | Self::Capture(_) | Self::Task(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Listens in `run_dir`, replacing what a former agent left there. Mode 0600.
pub fn listen(run_dir: &Path) -> io::Result<UnixListener> {
    let path = run_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Answers calls until `stop`.
pub async fn serve(listener: UnixListener, pods: Pods, stop: CancellationToken) {
    let calls = Arc::new(Semaphore::new(MAX_CALLS));
    loop {
        // The semaphore is never closed.
        let Ok(call) = calls.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let pods = pods.clone();
                tokio::spawn(async move {
                    if tokio::time::timeout(DEADLINE, connection(stream, pods)).await.is_err() {
                        warn!("CNI call not finished within 10 s");
                    }
                    drop(call);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a CNI call");
                // Out of descriptors, most likely: some may come back.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, pods: Pods) {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 => {}
        Ok(peer) => {
            warn!(uid = peer.uid(), pid = peer.pid(), "CNI call refused: the caller is not root");
            return;
        }
        Err(error) => {
            warn!(%error, "CNI call refused: its caller is unknown");
            return;
        }
    }
    let service = service_fn(|request| {
        let pods = pods.clone();
        async move { Ok::<_, Infallible>(answer(request, &pods).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_BODY)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        warn!(%error, "CNI call broke off");
    }
}

async fn answer(request: Request<Incoming>, pods: &Pods) -> Response<Full<Bytes>> {
    let (status, text) = match call(request, pods).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => {
            let text = crate::chain(&error);
            warn!(status = error.status().as_u16(), reason = text, "CNI call failed");
            (error.status(), text)
        }
    };
    pods.metrics().answered(status.as_u16());
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

async fn call(request: Request<Incoming>, pods: &Pods) -> Result<(), CallError> {
    if request.method() != Method::POST || request.uri().path() != "/cmdadd" {
        return Err(CallError::Route);
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|_| CallError::Body)?.to_bytes();
    let announcement = Announcement::parse(&body)?;
    let (path, node) = (announcement.netns.clone(), pods.node_namespaces());
    // Opening a path may block: it is not ours.
    let place = tokio::task::spawn_blocking(move || open(&path, &node)).await??;
    pods.capture(&announcement.namespace, &announcement.name, place).await?;
    info!(
        pod = format!("{}/{}", announcement.namespace, announcement.name),
        netns = %announcement.netns.display(),
        "pod announced"
    );
    Ok(())
}
