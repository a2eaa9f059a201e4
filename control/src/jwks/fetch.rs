//! One fetch of a key set.
//!
//! The address is looked at after the name was resolved, and it is that address that is dialled:
//! a name that means another one the next moment changes nothing. No redirect is followed, since
//! it could lead where the URL may not.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::address;
use super::set::{KeySet, KeySetError, Read};
use super::url::KeySetUrl;
use crate::limits::MAX_KEY_SET;

/// Longest header section of an answer, bytes.
const MAX_HEADER: usize = 64 << 10;
/// Addresses of one host that are tried; more are ignored.
const MAX_ADDRESSES: usize = 8;

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The name has no address.
    #[error("{0} has no address")]
    Resolve(String),
    /// It leads where nothing is fetched from.
    #[error("{0} {1}; --jwks-local-host {2} would permit it")]
    Address(IpAddr, &'static str, String),
    /// TCP or TLS.
    #[error("{0} cannot be reached: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// There are no roots to verify a server by.
    #[error("there are no root certificates to verify a server by: {0}; set SSL_CERT_FILE")]
    Roots(String),
    /// The name fits no certificate.
    #[error("{0:?} is no name that a certificate can bear")]
    Name(String),
    /// The exchange broke off.
    #[error("the server broke off: {0}")]
    Http(String),
    /// Elsewhere.
    #[error("the server answers {0}; redirects are not followed, write the URL that it leads to")]
    Redirect(StatusCode),
    /// Another answer than 200.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// A coding that was not asked for.
    #[error("the answer is encoded")]
    Encoded,
    /// An answer that is too long, or no key set.
    #[error("the answer {0}")]
    Set(#[from] KeySetError),
    /// Too late.
    #[error("there is no answer within {0:?}")]
    Timeout(Duration),
}

impl FetchError {
    /// The label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "resolve",
            Self::Address(..) => "address",
            Self::Connect(..) => "connect",
            Self::Roots(_) => "roots",
            Self::Name(_) => "name",
            Self::Http(_) => "http",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
            Self::Encoded => "encoded",
            Self::Set(_) => "set",
            Self::Timeout(_) => "timeout",
        }
    }
}

/// Fetches key sets. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    tls: Result<Arc<ClientConfig>, Arc<str>>,
    /// Hosts that may be on this machine.
    local: Arc<BTreeSet<String>>,
}

impl Fetcher {
    /// With the roots of the platform.
    pub fn new(local: &[String]) -> Self {
        Self::with(crate::roots::client(), local)
    }

    /// With these roots; `local` may be on this machine.
    pub fn with_roots(roots: RootCertStore, local: &[String]) -> Self {
        Self::with(crate::roots::client_of(roots), local)
    }

    fn with(tls: Result<Arc<ClientConfig>, Arc<str>>, local: &[String]) -> Self {
        let local = local.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { tls, local: Arc::new(local) }
    }

    /// Fetches a key set within `timeout`. Cancel safe.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &KeySetUrl, timeout: Duration) -> Result<Read, FetchError> {
        let late = |_| FetchError::Timeout(timeout);
        let body = tokio::time::timeout(timeout, self.body(url)).await.map_err(late)??;
        Ok(KeySet::read(&body)?)
    }

    async fn body(&self, url: &KeySetUrl) -> Result<Bytes, FetchError> {
        let tcp = connect(&self.permitted(url).await?).await?;
        if !url.is_https() {
            return exchange(tcp, url).await;
        }
        let tls = self.tls.clone().map_err(|why| FetchError::Roots(why.to_string()))?;
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|_| FetchError::Name(url.host().to_owned()))?;
        let peer = tcp.peer_addr().map_err(|error| FetchError::Http(error.to_string()))?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await;
        exchange(stream.map_err(|error| FetchError::Connect(peer, error))?, url).await
    }

    /// The addresses of an URL's host that may be dialled.
    async fn permitted(&self, url: &KeySetUrl) -> Result<Vec<SocketAddr>, FetchError> {
        let host = url.host();
        let unknown = || FetchError::Resolve(host.to_owned());
        let found = tokio::net::lookup_host((host, url.port())).await.map_err(|_| unknown())?;
        let found: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
        if self.local.contains(host) {
            return if found.is_empty() { Err(unknown()) } else { Ok(found) };
        }
        let mut refusal = unknown();
        let mut permitted = Vec::new();
        for address in found {
            match address::refused(address.ip()) {
                Some(why) => refusal = FetchError::Address(address.ip(), why, host.to_owned()),
                None => permitted.push(address),
            }
        }
        if permitted.is_empty() { Err(refusal) } else { Ok(permitted) }
    }
}

/// Connects to the first that answers.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    let mut failure = FetchError::Resolve(String::new());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = FetchError::Connect(*address, error),
        }
    }
    Err(failure)
}

async fn exchange<S>(stream: S, url: &KeySetUrl) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| FetchError::Http(error.to_string());
    let handshake = http1::Builder::new().max_buf_size(MAX_HEADER).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    // Ends with us, however we end.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(USER_AGENT, concat!("ambit-control/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Http(error.to_string()))?;
    read(sender.send_request(request).await.map_err(broken)?).await
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, FetchError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    if answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(FetchError::Encoded);
    }
    let body = Limited::new(answer.into_body(), MAX_KEY_SET).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            FetchError::Set(KeySetError::TooLong)
        } else {
            FetchError::Http(error.to_string())
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
