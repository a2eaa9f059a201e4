//! One question over HTTP, to the one place that the operator named.
//!
//! No redirect is followed: it could lead elsewhere, with the token.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::endpoint::Endpoint;
use super::promql::Span;
use crate::limits::{MAX_PROMETHEUS_ANSWER, MAX_PROMETHEUS_QUERIES, MAX_TOKEN_BYTES};

/// What is shown of an error that it tells, in characters.
const SHOWN: usize = 300;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrometheusError {
    /// TCP or TLS.
    #[error("{0} cannot be reached: {1}")]
    Connect(String, String),
    /// There are no roots to verify a server by.
    #[error("there are no root certificates to verify it by: {0}; set SSL_CERT_FILE")]
    Roots(String),
    /// The token file.
    #[error("--prometheus-token-file {0}")]
    Token(String),
    /// The exchange broke off.
    #[error("it broke off: {0}")]
    Http(String),
    /// Elsewhere.
    #[error(
        "it answers {0}; redirects are not followed: write into --prometheus-url where it leads"
    )]
    Redirect(StatusCode),
    /// Another answer than 200, and what it says.
    #[error("it answers {0}: {1}")]
    Status(StatusCode, String),
    /// Too much.
    #[error("its answer is longer than {} MiB; narrow the window or set a filter", MAX_PROMETHEUS_ANSWER >> 20)]
    TooLong,
    /// Too many series.
    #[error("it has more than {0} series for this; set a filter")]
    TooMany(usize),
    /// Something else than it says of its API.
    #[error("its answer {0}")]
    Answer(String),
    /// Too late.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Asks one Prometheus.
pub struct Client {
    endpoint: Endpoint,
    token: Option<PathBuf>,
    tls: Result<Arc<ClientConfig>, Arc<str>>,
    room: Semaphore,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// Asks at `endpoint`, with the bearer token of a file if there is one; a server of https is
    /// verified by the roots of the platform.
    pub fn new(endpoint: Endpoint, token: Option<PathBuf>) -> Self {
        let tls = if endpoint.is_https() { crate::roots::client() } else { Err("".into()) };
        Self { endpoint, token, tls, room: Semaphore::new(MAX_PROMETHEUS_QUERIES) }
    }

    /// The values of an expression at the end of each step of a window, as JSON.
    ///
    /// # Errors
    /// See [`PrometheusError`].
    pub async fn range(
        &self,
        expression: &str,
        span: Span,
        patience: Duration,
    ) -> Result<Bytes, PrometheusError> {
        let Ok(_permit) = self.room.acquire().await else {
            return Err(PrometheusError::Late(patience));
        };
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", expression)
            .append_pair("start", &seconds(span.from_ms + span.step_ms))
            .append_pair("end", &seconds(span.to_ms))
            .append_pair("step", &seconds(span.step_ms))
            // So that it does not go on when nobody waits.
            .append_pair("timeout", &format!("{}s", patience.as_secs()))
            .finish();
        let mut request = Request::post(self.endpoint.path("query_range"))
            .header(HOST, self.endpoint.authority())
            .header(USER_AGENT, concat!("ambit-control/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(CONNECTION, "close");
        if let Some(path) = &self.token {
            request = request.header(AUTHORIZATION, token(path).await?);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        self.send(request.map_err(|error| PrometheusError::Http(error.to_string()))?).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, PrometheusError> {
        let failed = |error: io::Error| {
            PrometheusError::Connect(self.endpoint.authority(), error.to_string())
        };
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let tcp = TcpStream::connect((host, port)).await.map_err(failed)?;
        if !self.endpoint.is_https() {
            return exchange(tcp, request).await;
        }
        let tls = self.tls.clone().map_err(|why| PrometheusError::Roots(why.to_string()))?;
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| failed(io::Error::other(error)))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(failed)?;
        exchange(stream, request).await
    }
}

/// The header of a token; read each time, since something else renews it.
async fn token(path: &Path) -> Result<HeaderValue, PrometheusError> {
    let wrong = |why: &str| PrometheusError::Token(format!("{}: {why}", path.display()));
    let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(&error.to_string()))?;
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_TOKEN_BYTES {
        return Err(wrong("it must hold one token"));
    }
    let value = HeaderValue::from_str(&format!("Bearer {text}"));
    let mut value = value.map_err(|_| wrong("it holds what no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Bytes, PrometheusError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| PrometheusError::Http(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with us, however we end.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    read(sender.send_request(request).await.map_err(broken)?).await
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, PrometheusError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(PrometheusError::Redirect(status));
    }
    let body = Limited::new(answer.into_body(), MAX_PROMETHEUS_ANSWER).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            PrometheusError::TooLong
        } else {
            PrometheusError::Http(error.to_string())
        }
    })?;
    if status != StatusCode::OK {
        return Err(PrometheusError::Status(status, said(&body)));
    }
    Ok(body)
}

/// What it says of an error: the word for people in its JSON, or the text.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json["error"].as_str());
    let text = error.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    text.trim().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
