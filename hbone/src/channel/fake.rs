//! For tests: a control plane server with a real certificate on a real socket.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::server::{Connected, Server};

use super::{ChannelConfig, ControlPlane, Credentials, Roots, ServerUrl, Token};

/// A root, and a file that holds it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root_pem: String,
    pub(crate) directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = params.self_signed(&key).expect("root").pem();
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("root.pem"), &root_pem).expect("written");
        Self { issuer: Issuer::new(params, key), root_pem, directory }
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        self.directory.path().join("root.pem")
    }

    /// Signs what a CSR asks for, its names included.
    pub(crate) fn sign(&self, csr_pem: &str) -> String {
        let csr = rcgen::CertificateSigningRequestParams::from_pem(csr_pem).expect("CSR");
        csr.signed_by(&self.issuer).expect("signed").pem()
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("name");
        let leaf = params.signed_by(&key, &self.issuer).expect("leaf");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(crate::tls::crypto_provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(std::sync::Arc::new(config))
    }

    /// Serves `routes` on a new loopback port under a certificate for `name`.
    pub(crate) async fn serve(&self, name: &str, routes: Routes) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let port = listener.local_addr().expect("address").port();
        let acceptor = self.acceptor(name);
        let (accepted, incoming) = mpsc::channel::<std::io::Result<TestStream>>(16);
        let accept = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    let _ = accepted.send(Ok(TestStream(tls))).await;
                }
            }
        });
        let server =
            Server::builder().add_routes(routes).serve_with_incoming(ReceiverStream::new(incoming));
        let serve = tokio::spawn(async move { server.await.expect("served") });
        FakeServer { port, tasks: vec![accept, serve] }
    }

    pub(crate) fn config(&self, ports: &[u16]) -> ChannelConfig {
        let servers = ports.iter().map(|port| format!("https://localhost:{port}"));
        ChannelConfig {
            servers: servers.map(|url| url.parse::<ServerUrl>().expect("URL")).collect(),
            alternative_hostname: None,
            roots: Roots::File(self.root_file()),
            credentials: Credentials::new(Token::Text("secret".into()), "c1", [("x-extra", "1")])
                .expect("credentials"),
            connect_timeout: Duration::from_secs(2),
        }
    }

    pub(crate) fn control(&self, ports: &[u16]) -> ControlPlane {
        ControlPlane::new(self.config(ports)).expect("control plane")
    }
}

/// Stops when it is dropped.
pub(crate) struct FakeServer {
    pub(crate) port: u16,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct TestStream(TlsStream<TcpStream>);

impl Connected for TestStream {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for TestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
