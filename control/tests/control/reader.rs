//! Readers of the dashboards over real TLS sockets, and authorities that sign for them.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::PATIENCE;

/// Signs for servers and readers.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A certificate for a server of this name, and its key.
    pub(crate) fn server(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a reader of this name, and its key.
    pub(crate) fn client(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }
}

/// Somebody who asks.
pub(crate) struct Reader {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    own: Option<(String, String)>,
    versions: &'static [&'static SupportedProtocolVersion],
}

/// What he hears.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    head: String,
    pub(crate) text: String,
}

impl Heard {
    /// The value of a header field, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

impl Reader {
    /// Asks at `address`, trusts `servers`, and has a certificate with its key, or none.
    pub(crate) fn new(
        address: SocketAddr,
        servers: &Authority,
        own: Option<(String, String)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(servers.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        Self { address, roots: Arc::new(roots), own, versions: rustls::ALL_VERSIONS }
    }

    /// The same, of an older day.
    pub(crate) fn tls12(self) -> Self {
        static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
        Self { versions: TLS12, ..self }
    }

    pub(crate) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(self.roots.clone());
        let config = match &self.own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![chain], key).expect("a pair")
            }
        };
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.try_get(path).await.expect("an answer")
    }

    pub(crate) async fn try_get(&self, path: &str) -> std::io::Result<Heard> {
        ask(self.connect().await?, "GET", path, &[], "").await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Heard {
        let connected = self.connect().await.expect("connects");
        ask(connected, method, path, headers, body).await.expect("an answer")
    }

    /// The serial number of the server's certificate.
    pub(crate) async fn serial(&self) -> std::io::Result<String> {
        let tls = self.connect().await?;
        let chain = tls.get_ref().1.peer_certificates().expect("a certificate");
        let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
        Ok(leaf.raw_serial_as_string())
    }
}

/// Sends a request.
pub(crate) async fn ask_on(
    tls: &mut TlsStream<TcpStream>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let length = body.len();
    let request = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    // Who refuses early does not read all of it.
    let _ = tls.write_all(request.as_bytes()).await;
}

/// Asks, and hears all of the answer.
///
/// # Errors
/// If there is none.
pub(crate) async fn ask(
    mut tls: TlsStream<TcpStream>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Heard> {
    ask_on(&mut tls, method, path, headers, body).await;
    let mut heard = Vec::new();
    let read = timeout(PATIENCE, tls.read_to_end(&mut heard)).await.expect("it ends");
    let text = String::from_utf8_lossy(&heard).into_owned();
    let Some((head, text)) = text.split_once("\r\n\r\n") else {
        read?;
        return Err(std::io::Error::other("no answer"));
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("no status"))?;
    Ok(Heard { status, head: head.to_owned(), text: text.to_owned() })
}
