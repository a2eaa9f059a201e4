//! A control that says what the test tells it to, behind real TLS.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hbone::channel::{ChannelConfig, ControlPlane, Credentials, Roots, Token};
use hbone::wire::pb::ambit::node::v1 as pb;
use pb::node_service_server::{NodeService, NodeServiceServer};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// One call as it came: what was asked, and the bearer token with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) bearer: Option<String>,
}

/// What the node said on a stream, and the other direction.
pub(crate) struct Stream {
    pub(crate) reports: Streaming<pb::NodeReport>,
    pub(crate) updates: mpsc::Sender<Result<pb::NodeUpdate, Status>>,
}

pub(crate) struct FakeControl {
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) streams: mpsc::Receiver<Stream>,
    port: u16,
    root: PathBuf,
}

struct Service {
    calls: Arc<Mutex<Vec<Call>>>,
    streams: mpsc::Sender<Stream>,
    /// Seconds for which credentials last.
    life: i64,
}

impl Service {
    fn note<T>(&self, what: String, request: &Request<T>) {
        let bearer = request.metadata().get("authorization");
        let bearer = bearer.and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.calls.lock().expect("whole").push(Call { what, bearer });
    }

    fn credential(&self, token: &str) -> Response<pb::Credential> {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let expires = i64::try_from(now).expect("fits") + self.life;
        Response::new(pb::Credential { token: token.into(), expires })
    }
}

#[tonic::async_trait]
impl NodeService for Service {
    type WatchStream = ReceiverStream<Result<pb::NodeUpdate, Status>>;

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let asked = request.get_ref();
        self.note(format!("join {} {}", asked.node, asked.token), &request);
        Ok(self.credential("joined"))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        self.note("renew".into(), &request);
        Ok(self.credential("renewed"))
    }

    async fn pod_credential(
        &self,
        request: Request<pb::PodCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        self.note(format!("pod {}", request.get_ref().name), &request);
        Ok(self.credential("pods"))
    }

    async fn watch(
        &self,
        request: Request<Streaming<pb::NodeReport>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.note("watch".into(), &request);
        let (updates, queue) = mpsc::channel(16);
        let stream = Stream { reports: request.into_inner(), updates };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test ended"))?;
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

impl FakeControl {
    /// Starts it; credentials last `life` seconds, and its root lies in `directory`.
    pub(crate) async fn start(directory: &Path, life: i64) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let root = directory.join("root.pem");
        std::fs::write(&root, certificate.pem()).expect("written");
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(hbone::tls::crypto_provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];

        let calls = Arc::default();
        let (sender, streams) = mpsc::channel(4);
        let service = Service { calls: Arc::clone(&calls), streams: sender, life };
        let plain = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let behind = plain.local_addr().expect("has one");
        let server =
            tonic::transport::Server::builder().add_service(NodeServiceServer::new(service));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(plain)));
        let front = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = front.local_addr().expect("has one").port();
        tokio::spawn(terminate(front, TlsAcceptor::from(Arc::new(config)), behind));
        Self { calls, streams, port, root }
    }

    /// The way to it.
    pub(crate) fn way(&self, token: Token) -> ControlPlane {
        let server = format!("https://localhost:{}", self.port);
        let config = ChannelConfig {
            servers: vec![server.parse().expect("a URL")],
            alternative_hostname: None,
            roots: Roots::File(self.root.clone()),
            credentials: Credentials::new(token, "Kubernetes", []).expect("plain"),
            connect_timeout: ChannelConfig::CONNECT_TIMEOUT,
        };
        ControlPlane::new(config).expect("usable")
    }

    /// The calls so far, without their tokens.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.calls.lock().expect("whole").iter().map(|call| call.what.clone()).collect()
    }
}

async fn terminate(front: TcpListener, acceptor: TlsAcceptor, behind: std::net::SocketAddr) {
    while let Ok((tcp, _)) = front.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut tls = acceptor.accept(tcp).await?;
            let mut plain = TcpStream::connect(behind).await?;
            tokio::io::copy_bidirectional(&mut tls, &mut plain).await
        });
    }
}
