//! The small HTTP servers beside the data path: readiness, metrics, administration
//! (docs/wire.md, "Telemetry").
//!
//! - [`Server`]: a listener with limits, and [`Pages`] to answer from
//! - [`Readiness`]: what is still pending, and the page that says so
//! - [`MetricsPage`]: the registry as text
//! - [`AdminPages`]: state, log levels and shutdown, for this machine only

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

mod admin;
mod metrics;
mod readiness;

pub use admin::AdminPages;
pub use metrics::MetricsPage;
pub use readiness::{Pending, Readiness, ReadinessPage};

/// Connections served at once; the next ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for its request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one connection may live: a client that reads nothing does not keep its place.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(2);
/// Largest request head, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// Pause after an accept that failed, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a page needs to know of a request; bodies are not read.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The target, as sent.
    pub uri: Uri,
    /// The header fields.
    pub headers: HeaderMap,
}

/// An answer in full.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A short text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        let body = Bytes::from(body.into());
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "not found\n")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
    }
}

/// A future answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// Answers requests.
pub trait Pages: Send + Sync + 'static {
    /// The answer to one request. Dropped if the client goes away.
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a>;
}

/// A bound listener with the pages that it serves.
pub struct Server {
    listener: TcpListener,
    pages: Arc<dyn Pages>,
}

impl Server {
    /// Binds `address`.
    pub async fn bind(address: SocketAddr, pages: Arc<dyn Pages>) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, pages })
    }

    /// Serves a listener that is bound already.
    pub fn new(listener: TcpListener, pages: Arc<dyn Pages>) -> Self {
        Self { listener, pages }
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`; requests then under way are finished by their own tasks.
    pub async fn run(self, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((tcp, permit)) => {
                    let pages = Arc::clone(&self.pages);
                    tokio::spawn(async move {
                        serve(tcp, pages).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept an administrative connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, permit))
}

async fn serve(tcp: TcpStream, pages: Arc<dyn Pages>) {
    let service = service_fn(move |request| respond(Arc::clone(&pages), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(tcp), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "administrative connection failed"),
        Err(_) => debug!("administrative connection reached its time limit"),
    }
}

async fn respond(
    pages: Arc<dyn Pages>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, http::Error> {
    let (head, _body) = request.into_parts();
    let asked = Asked { method: head.method, uri: head.uri, headers: head.headers };
    let reply = pages.answer(&asked).await;
    Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type))
        .header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .body(Full::new(reply.body))
}

#[cfg(test)]
mod tests;
