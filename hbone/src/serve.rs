//! The small HTTP servers beside the data path: readiness, metrics, administration
//! (docs/wire.md, "Telemetry").
//!
//! - [`Server`]: a listener with limits, and [`Pages`] to answer from
//! - [`Readiness`]: what is still pending, and the page that says so
//! - [`MetricsPage`]: the registry as text
//! - [`AdminPages`]: state, log levels and shutdown, for this machine only

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
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

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub content_type: &'static str,
    /// Further header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// In full.
    Full(Bytes),
    /// Piece by piece, as long as the client reads and the other end of the channel is there.
    Stream(mpsc::Receiver<Bytes>),
}

impl Reply {
    /// An answer in full.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = ReplyBody::Full(body.into());
        Self { status, content_type, headers: HeaderMap::new(), body }
    }

    /// An answer that goes on; no proxy between shall keep it back.
    pub fn stream(content_type: &'static str, body: mpsc::Receiver<Bytes>) -> Self {
        let body = ReplyBody::Stream(body);
        let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let headers = HeaderMap::from_iter([no_store]);
        Self { status: StatusCode::OK, content_type, headers, body }
    }

    /// The same with another header field.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// As HTTP has it: with its media type, which no browser may guess otherwise.
    ///
    /// # Errors
    /// If a header field cannot be written.
    pub fn into_response(self) -> Result<Response<Sent>, http::Error> {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type))
            .header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(headers) = response.headers_mut() {
            headers.extend(self.headers);
        }
        response.body(match self.body {
            ReplyBody::Full(bytes) => Either::Left(Full::new(bytes)),
            ReplyBody::Stream(pieces) => Either::Right(Pieces(pieces)),
        })
    }

    /// A short text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
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
) -> Result<Response<Sent>, http::Error> {
    let (head, _body) = request.into_parts();
    let asked = Asked { method: head.method, uri: head.uri, headers: head.headers };
    pages.answer(&asked).await.into_response()
}

/// The body of an answer, on its way.
pub type Sent = Either<Full<Bytes>, Pieces>;

/// A body that comes piece by piece.
#[derive(Debug)]
pub struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests;
