//! TCP and TLS to a control plane server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::roots::RootsError;
use super::{ChannelConfig, ServerUrl};
use crate::tls;

/// A verified connection.
pub(super) type Connection = TlsStream<TcpStream>;

/// After how long without traffic TCP itself asks whether the peer is there.
const TCP_KEEPALIVE: Duration = Duration::from_mins(5);
/// Addresses of one server name that are tried; more are ignored.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Why no server was reached; of several, the last one's reason.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The roots vanished or became unreadable.
    #[error("the server cannot be verified")]
    Roots(#[from] RootsError),
    /// The roots are there but cannot be used.
    #[error("the root certificates cannot be used: {0}")]
    Tls(String),
    /// A name that is neither a DNS name nor an IP address.
    #[error("{0:?} is no name that a certificate can bear")]
    Name(String),
    /// The name has no address.
    #[error("{host} has no address")]
    Resolve {
        /// The host of the URL.
        host: String,
        /// What the resolver said.
        #[source]
        source: Option<std::io::Error>,
    },
    /// TCP or TLS failed.
    #[error("{address} ({host})")]
    Connect {
        /// The host of the URL.
        host: String,
        /// The address dialled.
        address: SocketAddr,
        /// What TCP or TLS said.
        source: std::io::Error,
    },
    /// TCP and TLS took too long.
    #[error("{address} ({host}) did not finish TCP and TLS in {limit:?}")]
    Timeout {
        /// The host of the URL.
        host: String,
        /// The address dialled.
        address: SocketAddr,
        /// The limit.
        limit: Duration,
    },
}

/// Tries each address of each server once, starting with the `first`-th (counted round).
pub(super) async fn first_that_answers(
    config: &ChannelConfig,
    first: usize,
) -> Result<Connection, DialError> {
    let tls = client_config(&config.roots.read()?)?;
    let (mut places, mut failure) = resolve(&config.servers).await;
    if !places.is_empty() {
        let start = first % places.len();
        places.rotate_left(start);
    }
    for (server, address) in places {
        match connect(config, &tls, server, address).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| DialError::Resolve { host: String::new(), source: None }))
}

async fn resolve(servers: &[ServerUrl]) -> (Vec<(&ServerUrl, SocketAddr)>, Option<DialError>) {
    let mut places = Vec::new();
    let mut failure = None;
    for server in servers {
        let host = server.host().to_owned();
        match tokio::net::lookup_host((server.host(), server.port())).await {
            Ok(found) => {
                let before = places.len();
                places.extend(self::places(server, found));
                if places.len() == before {
                    failure = Some(DialError::Resolve { host, source: None });
                }
            }
            Err(source) => failure = Some(DialError::Resolve { host, source: Some(source) }),
        }
    }
    (places, failure)
}

/// What is tried of the addresses that a server's name has.
pub(super) fn places(
    server: &ServerUrl,
    found: impl Iterator<Item = SocketAddr>,
) -> impl Iterator<Item = (&ServerUrl, SocketAddr)> {
    found.take(MAX_ADDRESSES).map(move |address| (server, address))
}

/// Connects and verifies. If the certificate is sound but bears another name than the URL's
/// host, the alternative name is tried on a new connection.
async fn connect(
    config: &ChannelConfig,
    tls: &Arc<ClientConfig>,
    server: &ServerUrl,
    address: SocketAddr,
) -> Result<Connection, DialError> {
    let first = attempt(config, tls, server.host(), server, address).await;
    match (first, &config.alternative_hostname) {
        (Err(error), Some(other)) if is_name_mismatch(&error) => {
            attempt(config, tls, other, server, address).await
        }
        (result, _) => result,
    }
}

async fn attempt(
    config: &ChannelConfig,
    tls: &Arc<ClientConfig>,
    name: &str,
    server: &ServerUrl,
    address: SocketAddr,
) -> Result<Connection, DialError> {
    let host = || server.host().to_owned();
    let name =
        ServerName::try_from(name.to_owned()).map_err(|_| DialError::Name(name.to_owned()))?;
    let open = async {
        let tcp = TcpStream::connect(address).await?;
        tune(&tcp)?;
        TlsConnector::from(tls.clone()).connect(name, tcp).await
    };
    let limit = config.connect_timeout;
    match timeout(limit, open).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(source)) => Err(DialError::Connect { host: host(), address, source }),
        Err(_) => Err(DialError::Timeout { host: host(), address, limit }),
    }
}

fn tune(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

fn is_name_mismatch(error: &DialError) -> bool {
    let DialError::Connect { source, .. } = error else { return false };
    let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. }
        ))
    )
}

fn client_config(roots: &[u8]) -> Result<Arc<ClientConfig>, DialError> {
    tls::control_plane_client_config(roots).map_err(|error| DialError::Tls(super::chain(&error)))
}
