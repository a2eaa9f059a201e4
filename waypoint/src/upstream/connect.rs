//! A byte stream to an endpoint.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hbone::tls::WorkloadCertificate;
use hbone::tunnel::{HBONE_PORT, OpenRequest, Pool};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::authorize::Permit;
use crate::directory::balance::Endpoint;
use crate::failure::Failure;
use crate::upstream::stream::Stream;

/// A future of a stream.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send + 'a>>;

/// Opens streams to endpoints.
pub trait Connect: Send + Sync + 'static {
    /// A stream to `endpoint`, ready for the first byte. Takes the permit of who asks.
    fn connect<'a>(&'a self, endpoint: &'a Endpoint, permit: &'a Permit) -> Connecting<'a>;
}

/// Connections with the waypoint's own identity; plain TCP where the workload is outside the
/// mesh.
pub struct Mesh {
    pool: Pool,
    certificate: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
    connect_timeout: Duration,
}

impl Mesh {
    /// Opens tunnels from `pool` with the certificate of the moment.
    pub fn new(
        pool: Pool,
        certificate: watch::Receiver<Option<Arc<WorkloadCertificate>>>,
        connect_timeout: Duration,
    ) -> Self {
        Self { pool, certificate, connect_timeout }
    }

    async fn tunnel(&self, endpoint: &Endpoint) -> Result<Stream, Failure> {
        let certificate = self.certificate.borrow().clone().ok_or(Failure::NoCertificate)?;
        let mut peer = endpoint.address;
        peer.set_port(HBONE_PORT);
        let request = OpenRequest {
            certificate,
            expected: endpoint.expected.clone(),
            peer,
            authority: endpoint.address.to_string(),
            headers: http::HeaderMap::new(),
        };
        let opened = self.pool.open(&request).await;
        let failed = |error| Failure::Tunnel { address: endpoint.address, error: Arc::new(error) };
        Ok(Stream::Tunnel(opened.map_err(failed)?))
    }

    async fn plain(&self, endpoint: &Endpoint) -> Result<Stream, Failure> {
        let address = endpoint.address;
        let failed = |kind| Failure::Connect { address, kind };
        let connecting = tokio::time::timeout(self.connect_timeout, TcpStream::connect(address));
        let stream = connecting.await.map_err(|_| failed(std::io::ErrorKind::TimedOut))?;
        let stream = stream.map_err(|error| failed(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.kind()))?;
        Ok(Stream::Plain(stream))
    }
}

impl Connect for Mesh {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint, _permit: &'a Permit) -> Connecting<'a> {
        Box::pin(async move {
            if endpoint.is_tunnelled() {
                self.tunnel(endpoint).await
            } else {
                self.plain(endpoint).await
            }
        })
    }
}
