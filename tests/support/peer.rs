//! A peer that speaks HBONE itself, with a certificate from the mesh or from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use hbone::ca::CaClient;
use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, Token};
use hbone::identity::SpiffeId;
use hbone::tls::WorkloadCertificate;
use hbone::tunnel::{Direct, OpenRequest, Pool, PoolMetrics, Tunnel, TunnelConfig, TunnelError};
use testbed::mesh::{Mesh, MeshPod};

pub(crate) const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn id(text: &str) -> anyhow::Result<SpiffeId> {
    Ok(text.parse()?)
}

/// The authority, with a token.
pub(crate) fn authority(mesh: &Mesh, token: Token) -> anyhow::Result<CaClient> {
    let roots = mesh.control().root_certificate();
    let config = ChannelConfig {
        servers: vec![mesh.control().address().parse()?],
        alternative_hostname: None,
        roots: Roots::from_setting(&roots.to_string_lossy()),
        credentials: Credentials::new(token, "Kubernetes", [])?,
        connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
    };
    Ok(CaClient::new(ControlPlane::new(config)?))
}

/// A certificate as the node's ztunnel would get it.
pub(crate) async fn certificate(mesh: &Mesh, pod: &MeshPod) -> anyhow::Result<WorkloadCertificate> {
    let token = Token::File(mesh.node(pod.node().name())?.credential());
    Ok(authority(mesh, token)?.fetch(&id(&pod.identity())?, true, HOUR).await?)
}

/// Opens a tunnel to a pod's port 15008 for any authority.
pub(crate) async fn tunnel(
    certificate: &Arc<WorkloadCertificate>,
    to: &MeshPod,
    authority: &str,
) -> Result<Tunnel, TunnelError> {
    let metrics = PoolMetrics::register(&mut prometheus_client::registry::Registry::default());
    let pool = Pool::new(Arc::new(Direct), Arc::new(TunnelConfig::default()), metrics);
    let expected = to.identity().parse().into_iter().collect();
    let request = OpenRequest {
        certificate: Arc::clone(certificate),
        expected,
        peer: to.at4(15008),
        authority: authority.to_owned(),
        headers: http::HeaderMap::new(),
    };
    pool.open(&request).await
}

/// 200, or the status of the refusal; none if it ended before one.
pub(crate) fn status(opened: &Result<Tunnel, TunnelError>) -> Option<u16> {
    match opened {
        Ok(_) => Some(200),
        Err(TunnelError::Refused { status, .. }) => Some(status.as_u16()),
        Err(_) => None,
    }
}
