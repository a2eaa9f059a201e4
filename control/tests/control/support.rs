//! A control plane in this process and real clients of it, over TLS sockets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::{App, Config, Running};
use hbone::tls::{ALPN_H2, crypto_provider};
use hbone::wire::pb::ambit::node::v1 as node;
use hbone::wire::pb::ambit::node::v1::node_service_client::NodeServiceClient;
use hbone::wire::pb::envoy::config::core::v3::Node;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use hbone::wire::pb::istio::v1::auth::istio_certificate_service_client::IstioCertificateServiceClient;
use hbone::wire::pb::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use hyper_util::rt::TokioIo;
use prost_types::{Struct, Value, value::Kind};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

pub(crate) const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
pub(crate) const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";

/// Nothing takes longer; a wait that does is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Two nodes with two pods, one service.
pub(crate) const SHOP: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: z1}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: uid-web, labels: {app: web}}
spec: {nodeName: node-a, serviceAccountName: web, containers: [{name: c, image: i}]}
status: {podIP: 10.1.0.5}
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: shop, uid: uid-store, labels: {app: store}}
spec:
  nodeName: node-b
  serviceAccountName: store
  containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]
status: {podIP: 10.2.0.5}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec:
  clusterIP: 10.96.0.7
  selector: {app: store}
  ports: [{name: http, port: 80, targetPort: http}]
";

/// A control plane with its two directories.
pub(crate) struct Mesh {
    pub(crate) running: Option<Running>,
    folder: tempfile::TempDir,
}

impl Mesh {
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let mut mesh = Self::prepare(files);
        mesh.begin().await;
        mesh
    }

    /// The directories alone.
    pub(crate) fn prepare(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join("mesh")).expect("folder");
        let mesh = Self { running: None, folder };
        for (name, text) in files {
            mesh.write(name, text);
        }
        mesh
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(self.directory(), self.state());
        config.listen = ([127, 0, 0, 1], 0).into();
        config.admin = ([127, 0, 0, 1], 0).into();
        config
    }

    pub(crate) async fn begin(&mut self) {
        self.begin_with(self.config()).await;
    }

    pub(crate) async fn begin_with(&mut self, config: Config) {
        self.running = Some(App::start(config).await.expect("starts"));
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.begin().await;
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().expect("runs").stop().await;
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("runs")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("mesh")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory().join(name), text).expect("writes");
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.directory().join(name)).expect("removes");
    }

    /// A TLS 1.3 channel that trusts only the mesh's root.
    pub(crate) async fn channel(&self) -> Channel {
        let address = self.running().address();
        let mut roots = rustls::RootCertStore::empty();
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(self.running().root_pem().as_bytes()).expect("PEM");
        roots.add(CertificateDer::from(pem.contents)).expect("a root");
        let mut config = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let dial = tower::service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("istiod.istio-system.svc").expect("name");
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://istiod.istio-system.svc:15012");
        endpoint.connect_with_connector(dial).await.expect("connects")
    }

    /// Joins as `name`; the credential.
    pub(crate) async fn join(&self, name: &str) -> String {
        let token = control::tokens::create(&self.state(), name).expect("token");
        self.try_join(name, &token).await.expect("joins").token
    }

    pub(crate) async fn try_join(
        &self,
        name: &str,
        token: &str,
    ) -> Result<node::Credential, Status> {
        let mut client = NodeServiceClient::new(self.channel().await);
        let request = node::JoinRequest { token: token.to_owned(), node: name.to_owned() };
        client.join(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel().await)
    }

    /// A discovery stream with its first request.
    pub(crate) async fn discover(&self, token: &str, first: DeltaDiscoveryRequest) -> Discovery {
        self.try_discover(token, first).await.expect("stream")
    }

    pub(crate) async fn try_discover(
        &self,
        token: &str,
        first: DeltaDiscoveryRequest,
    ) -> Result<Discovery, Status> {
        let mut client = AggregatedDiscoveryServiceClient::new(self.channel().await)
            .max_decoding_message_size(200 << 20);
        let (requests, outgoing) = mpsc::channel(16);
        requests.send(first).await.expect("room");
        let request = with_token(Request::new(ReceiverStream::new(outgoing)), token);
        let responses = client.delta_aggregated_resources(request).await?.into_inner();
        Ok(Discovery { requests, responses })
    }

    /// The node's stream: what it sends, what it hears.
    pub(crate) async fn watch(
        &self,
        token: &str,
    ) -> (mpsc::Sender<node::NodeReport>, Streaming<node::NodeUpdate>) {
        let (reports, outgoing) = mpsc::channel(16);
        let request = with_token(Request::new(ReceiverStream::new(outgoing)), token);
        let updates = self.nodes().await.watch(request).await.expect("watches").into_inner();
        (reports, updates)
    }

    pub(crate) async fn certificate(
        &self,
        token: &str,
        csr: &str,
        wanted: Option<&str>,
        seconds: i64,
    ) -> Result<IstioCertificateResponse, Status> {
        let metadata = wanted.map(|id| {
            let value = Value { kind: Some(Kind::StringValue(id.to_owned())) };
            Struct { fields: [("ImpersonatedIdentity".to_owned(), value)].into() }
        });
        let request =
            IstioCertificateRequest { csr: csr.to_owned(), validity_duration: seconds, metadata };
        let mut client = IstioCertificateServiceClient::new(self.channel().await);
        let answer = client.create_certificate(with_token(Request::new(request), token)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// A page of the admin address.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let mut tcp = TcpStream::connect(self.running().admin()).await.expect("connects");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.expect("sent");
        let mut heard = String::new();
        tcp.read_to_string(&mut heard).await.expect("heard");
        heard
    }

    /// Waits until the status says so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&control::status::Report) -> bool) {
        let board = self.running().board().clone();
        let mut changes = board.subscribe();
        let wait = async {
            while !holds(&board.report()) {
                changes.changed().await.expect("lives");
            }
        };
        let reached = tokio::time::timeout(PATIENCE, wait).await;
        assert!(reached.is_ok(), "{what}; status is {:#?}", board.report());
    }
}

pub(crate) fn with_token<T>(mut request: Request<T>, token: &str) -> Request<T> {
    let value = format!("Bearer {token}").parse().expect("ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// A node proxy's description of itself.
pub(crate) fn ztunnel(node: &str) -> Node {
    let fields = [("NAMESPACE", "istio-system"), ("NODE_NAME", node)];
    let fields = fields.into_iter().map(|(key, value)| {
        (key.to_owned(), Value { kind: Some(Kind::StringValue(value.to_owned())) })
    });
    Node {
        id: "ztunnel~1.1.1.1~ztunnel-x.istio-system~istio-system.svc.cluster.local".to_owned(),
        metadata: Some(Struct { fields: fields.collect() }),
        ..Node::default()
    }
}

/// The first request of a type, in wildcard mode.
pub(crate) fn first(node: &str, kind: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: Some(ztunnel(node)),
        type_url: kind.to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// The same, holding what `held` says.
pub(crate) fn again(
    node: &str,
    kind: &str,
    held: &HashMap<String, String>,
) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { initial_resource_versions: held.clone(), ..first(node, kind) }
}

pub(crate) struct Discovery {
    pub(crate) requests: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) responses: Streaming<DeltaDiscoveryResponse>,
}

impl Discovery {
    /// The next response, acknowledged.
    pub(crate) async fn next(&mut self) -> DeltaDiscoveryResponse {
        let response = self.next_unacknowledged().await;
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
        response
    }

    pub(crate) async fn next_unacknowledged(&mut self) -> DeltaDiscoveryResponse {
        let next = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        next.expect("in time").expect("no error").expect("no end")
    }

    pub(crate) async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.expect("stream lives");
    }
}

pub(crate) fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|r| r.name.as_str()).collect()
}

pub(crate) fn versions(response: &DeltaDiscoveryResponse) -> HashMap<String, String> {
    response.resources.iter().map(|r| (r.name.clone(), r.version.clone())).collect()
}

/// The workload of this name in a response.
pub(crate) fn workload(
    response: &DeltaDiscoveryResponse,
    name: &str,
) -> Option<hbone::wire::pb::istio::workload::Workload> {
    use hbone::wire::pb::istio::workload::{Address, address::Type};
    use prost::Message;
    response.resources.iter().find_map(|resource| {
        let body = resource.resource.as_ref()?;
        match Address::decode(body.value.as_slice()).ok()?.r#type? {
            Type::Workload(workload) if workload.name == name => Some(workload),
            _ => None,
        }
    })
}
