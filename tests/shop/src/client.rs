//! One HTTP GET on a new connection, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of a body that are read.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Not `http://host[:port]/path`.
    #[error("{0:?} is no URL; write http://HOST[:PORT]/PATH")]
    Url(String),
    /// No connection.
    #[error("no connection to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection or the answer broke.
    #[error("{host} did not answer")]
    Broken {
        /// Host and port.
        host: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{host} did not answer within {limit:?}")]
    Late {
        /// Host and port.
        host: String,
        /// The time it had.
        limit: Duration,
    },
}

impl CallError {
    /// The message with those of its causes.
    pub fn words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            words.push_str(": ");
            words.push_str(&error.to_string());
            cause = error.source();
        }
        words
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body, at most [`BODY_LIMIT`] bytes.
    pub body: Bytes,
}

/// Gets `url` with a request id, on a connection of its own.
///
/// # Errors
/// See [`CallError`]; any status is an answer.
pub async fn get(url: &str, id: &str, limit: Duration) -> Result<Reply, CallError> {
    let wrong = || CallError::Url(url.to_owned());
    let url: Uri = url.parse().map_err(|_| wrong())?;
    let host = url.host().ok_or_else(wrong)?.to_owned();
    let port = url.port_u16().unwrap_or(80);
    let authority = url.authority().ok_or_else(wrong)?.to_string();
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .header("x-request-id", id)
        .body(Empty::<Bytes>::new())
        .map_err(|_| wrong())?;
    let host = format!("{host}:{port}");
    match timeout(limit, exchange(&host, request)).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Late { host, limit }),
    }
}

async fn exchange(host: &str, request: Request<Empty<Bytes>>) -> Result<Reply, CallError> {
    let broken = |source| CallError::Broken { host: host.to_owned(), source };
    let stream = TcpStream::connect(host)
        .await
        .map_err(|source| CallError::Connect { host: host.to_owned(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.into()))?;
    // Polled here, so that the connection ends with this call.
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await?.to_bytes();
        Ok(Reply { status, body })
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    let result: Result<Reply, Box<dyn std::error::Error + Send + Sync>> = tokio::select! {
        result = &mut answer => result,
        ended = &mut connection => match ended {
            // The last bytes may have come with the end.
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    };
    result.map_err(broken)
}
