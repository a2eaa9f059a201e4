//! The TLS listener of discovery, certificates and the node service.
//!
//! Its own certificate comes from the mesh's root and is renewed at half of its life.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use hbone::tls::{ALPN_H2, crypto_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::{debug, error, warn};

use crate::ca::issue::{self, IssueError};
use crate::ca::root::Root;
use crate::limits;

/// The life of the listener's certificate.
const LIFE: Duration = Duration::from_hours(24);

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertError {
    /// The authority.
    #[error("certificate of the control plane")]
    Issue(#[from] IssueError),
    /// The cryptography.
    #[error("TLS of the control plane")]
    Tls(#[from] rustls::Error),
}

/// The certificate in force.
#[derive(Debug)]
pub struct ServerCert {
    current: arc_swap::ArcSwap<CertifiedKey>,
    root: Arc<Root>,
    names: Vec<String>,
}

impl ServerCert {
    /// A certificate for `names`: host names and addresses.
    ///
    /// # Errors
    /// See [`ServerCertError`].
    pub fn new(root: Arc<Root>, names: Vec<String>) -> Result<Arc<Self>, ServerCertError> {
        let first = make(&root, &names)?;
        Ok(Arc::new(Self { current: arc_swap::ArcSwap::from_pointee(first), root, names }))
    }

    /// Renews it at half of its life, until cancelled.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LIFE / 2).await;
            match make(&self.root, &self.names) {
                Ok(next) => self.current.store(Arc::new(next)),
                Err(error) => error!(%error, "certificate of the control plane not renewed"),
            }
        }
    }

    /// The configuration of the listener: TLS 1.3, no client certificate, HTTP/2.
    ///
    /// # Errors
    /// See [`ServerCertError`].
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ServerCertError> {
        let mut config = rustls::ServerConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for ServerCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn make(root: &Root, names: &[String]) -> Result<CertifiedKey, ServerCertError> {
    let (certificate, key) = issue::server(root, names, LIFE, SystemTime::now())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = crypto_provider().key_provider.load_private_key(key)?;
    let between = root.chain_der().map(|der| CertificateDer::from(der.to_vec()));
    let chain = std::iter::once(CertificateDer::from(certificate)).chain(between).collect();
    Ok(CertifiedKey::new(chain, key))
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Accepts until `stop`; connections whose handshake is done go to the returned channel.
pub fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    stop: CancellationToken,
) -> mpsc::Receiver<io::Result<Connection>> {
    let (done, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(limits::MAX_HANDSHAKES));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (tcp, peer) = match accepted {
                Ok(accepted) => accepted,
                // As when there are no descriptors left: a pause, then again.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, done) = (acceptor.clone(), done.clone());
            tokio::spawn(async move {
                match handshake(tcp, &acceptor).await {
                    Ok(tls) => drop(done.send(Ok(Connection(tls))).await),
                    Err(error) => debug!(%peer, %error, "TLS handshake failed"),
                }
                drop(permit);
            });
        }
    });
    connections
}

async fn handshake(tcp: TcpStream, acceptor: &TlsAcceptor) -> io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await?
}
