//! The HTTP/1.1 server of every service.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::answer::{Answer, SERVED_BY};

/// Connections at once; more wait in the listener's queue.
pub const CONNECTION_LIMIT: usize = 512;
/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// What a service is asked.
#[derive(Debug)]
pub struct Call {
    /// Path, without the query.
    pub path: String,
    /// `x-request-id`, or empty.
    pub id: String,
    /// Where the connection comes from.
    pub peer: SocketAddr,
}

/// Answers one kind of call after the other.
pub trait Answers: Send + Sync + 'static {
    /// The status and the answer.
    fn answer(&self, call: Call) -> impl Future<Output = (StatusCode, Answer)> + Send;
}

/// Serves until the future is dropped.
///
/// # Errors
/// If the listener fails for good; a connection that fails ends alone.
pub async fn serve(listener: TcpListener, service: impl Answers) -> std::io::Result<()> {
    let service = Arc::new(service);
    let room = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    loop {
        let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let handle = service_fn(|request| respond(&*service, request, peer));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .serve_connection(TokioIo::new(stream), handle)
                .await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection ended early");
            }
            drop(permit);
        });
    }
}

async fn respond(
    service: &impl Answers,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let call =
        Call { path: request.uri().path().to_owned(), id: id.unwrap_or_default().into(), peer };
    let (status, answer) = service.answer(call).await;
    let served_by = format!("{}/{}", answer.service, answer.version);
    let mut body = serde_json::to_vec_pretty(&answer).unwrap_or_default();
    body.push(b'\n');
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header(SERVED_BY, served_by)
        .body(Full::new(Bytes::from(body)));
    // Names are checked at the start, so that the header is always valid.
    Ok(response.unwrap_or_default())
}
