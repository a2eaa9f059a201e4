//! Clients of control that are no proxies of ours.

use anyhow::Context as _;
use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, Token};
use hbone::wire::pb::envoy::config::core::v3::Node;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use testbed::mesh::{Mesh, PATIENCE};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

pub(crate) const POLICIES: &str = "type.googleapis.com/istio.security.Authorization";

/// Who calls control with a token.
pub(crate) fn caller(mesh: &Mesh, token: Token) -> anyhow::Result<ControlPlane> {
    let config = ChannelConfig {
        servers: vec![mesh.control().address().parse()?],
        alternative_hostname: None,
        roots: Roots::from_setting(&mesh.control().root_certificate().to_string_lossy()),
        credentials: Credentials::new(token, "Kubernetes", [])?,
        connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
    };
    Ok(ControlPlane::new(config)?)
}

/// A client of discovery.
pub(crate) struct Client {
    pub(crate) requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    /// Asks for policies as the proxy of `node-a`.
    pub(crate) async fn open(mesh: &Mesh, token: Token) -> anyhow::Result<Self> {
        let channel = caller(mesh, token)?.connect().await?;
        let (requests, outgoing) = mpsc::channel(4);
        let metadata = [("NAMESPACE", "istio-system"), ("NODE_NAME", "node-a")];
        let text = |text: &str| prost_types::Value {
            kind: Some(prost_types::value::Kind::StringValue(text.to_owned())),
        };
        let fields = metadata.map(|(key, value)| (key.to_owned(), text(value)));
        let node = Node {
            id: "ztunnel~192.0.2.1~ztunnel-x.istio-system~istio-system.svc.cluster.local"
                .to_owned(),
            metadata: Some(prost_types::Struct { fields: fields.into() }),
            ..Node::default()
        };
        let first = DeltaDiscoveryRequest {
            node: Some(node),
            type_url: POLICIES.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(ReceiverStream::new(outgoing));
        let responses = timeout(PATIENCE, responses).await??.into_inner();
        Ok(Self { requests, responses })
    }

    pub(crate) async fn own(mesh: &Mesh) -> anyhow::Result<Self> {
        Self::open(mesh, Token::File(mesh.node("node-a")?.credential())).await
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<DeltaDiscoveryResponse> {
        timeout(PATIENCE, self.responses.message()).await??.context("the stream ended")
    }
}
