//! Certificate, key and the authorities of readers, out of files: read again when they change.
//!
//! What cannot be used is told of, and the last good files stay in force. Everything is looked
//! at together: a certificate whose key is not there yet is no reason to serve neither.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::audit::Audit;
use super::options::Plan;
use crate::limits;

/// How often the files are looked at. A mounted Secret is changed by renaming folders, which no
/// watch on a file tells of.
const EVERY: Duration = Duration::from_secs(2);

/// Why files cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The disk.
    #[error("{flag} {path}: {source}", path = path.display())]
    Read {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// Its content.
    #[error("{flag} {path} {problem}", path = path.display())]
    Content {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// What a look at the files found.
struct Found {
    config: ServerConfig,
    /// When the certificate ends, seconds since 1970.
    not_after: i64,
}

/// The files in force.
#[derive(Debug)]
pub struct Keys {
    plan: Plan,
    /// What no reader's authority may be, DER.
    mesh: Vec<Vec<u8>>,
    current: ArcSwap<ServerConfig>,
    audit: Arc<Audit>,
}

impl Keys {
    /// Reads the files. `mesh` is the mesh's own bundle, PEM: it signs for every workload, so
    /// it is no authority of readers.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn open(plan: &Plan, mesh: &str, audit: Arc<Audit>) -> Result<Self, KeysError> {
        let mesh: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(mesh.as_bytes())
            .filter_map(|der| der.ok().map(|der| der.to_vec()))
            .collect();
        let found = read(plan, &mesh)?;
        audit.certificate(found.not_after);
        warn_of_the_end(plan, found.not_after);
        let current = ArcSwap::from_pointee(found.config);
        Ok(Self { plan: plan.clone(), mesh, current, audit })
    }

    /// How the next connection is answered.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Looks at the files until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        let mut seen = None;
        loop {
            let keys = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let stamp = stamp(&keys.plan);
                (seen.as_ref() != Some(&stamp)).then(|| (read(&keys.plan, &keys.mesh), stamp))
            });
            match looked.await {
                Ok(Some((found, stamp))) => {
                    let first = seen.is_none();
                    seen = Some(stamp);
                    self.take(found, first);
                }
                Ok(None) => {}
                Err(error) => error!(%error, "the files of the dashboards were not looked at"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn take(&self, found: Result<Found, KeysError>, first: bool) {
        match found {
            Ok(found) => {
                self.audit.certificate(found.not_after);
                self.current.store(Arc::new(found.config));
                if !first {
                    let certificate = self.plan.certificate.display();
                    info!(%certificate, "new files of the dashboards are in force");
                    warn_of_the_end(&self.plan, found.not_after);
                }
            }
            Err(error) => warn!(
                %error,
                "files of the dashboards cannot be used; the last good ones stay in force"
            ),
        }
    }
}

fn warn_of_the_end(plan: &Plan, not_after: i64) {
    if not_after.saturating_mul(1_000) <= observe::now_ms() {
        let certificate = plan.certificate.display();
        warn!(%certificate, "the certificate of the dashboards has ended; browsers refuse it");
    }
}

/// Changes with the content of any of the files.
fn stamp(plan: &Plan) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for path in [Some(&plan.certificate), Some(&plan.key), plan.client_ca.as_ref()] {
        let text = path.and_then(|path| bytes(path).ok()).unwrap_or_default();
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(&text);
    }
    let mut stamp = [0; 32];
    stamp.copy_from_slice(context.finish().as_ref());
    stamp
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = limits::MAX_DASHBOARD_FILE;
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(std::io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

fn content(flag: &'static str, path: &Path) -> impl Fn(String) -> KeysError {
    move |problem| KeysError::Content { flag, path: path.to_owned(), problem }
}

fn certificates(
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, KeysError> {
    let read = |source| KeysError::Read { flag, path: path.to_owned(), source };
    let wrong = content(flag, path);
    let text = bytes(path).map_err(read)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| wrong(format!("is no PEM: {error}")))?;
    if all.is_empty() {
        return Err(wrong("holds no certificate; write it as PEM".to_owned()));
    }
    Ok(all)
}

fn read(plan: &Plan, mesh: &[Vec<u8>]) -> Result<Found, KeysError> {
    const CERTIFICATE: &str = "--dashboard-certificate";
    const KEY: &str = "--dashboard-key";
    let chain = certificates(CERTIFICATE, &plan.certificate)?;
    let leaf = chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
    let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|error| {
        content(CERTIFICATE, &plan.certificate)(format!("holds no certificate: {error}"))
    })?;
    let not_after = parsed.validity().not_after.timestamp();
    let text = bytes(&plan.key).map_err(|source| KeysError::Read {
        flag: KEY,
        path: plan.key.clone(),
        source,
    })?;
    let wrong = content(KEY, &plan.key);
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| wrong("holds no private key; write it as PEM, not encrypted".to_owned()))?;
    // Not that of the mesh: browsers and operators' certificates are of many kinds.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match &plan.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let wrong = content("--dashboard-client-ca", path);
            let roots = Arc::new(readers(path, mesh)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let verifier = match plan.audiences {
                Some(_) => verifier.allow_unauthenticated(),
                None => verifier,
            };
            verifier.build().map_err(|error| wrong(format!("cannot be used: {error}")))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| wrong(format!("cannot be used: {error}")))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong(format!("is not the key of {}", plan.certificate.display()))
            }
            other => wrong(format!("cannot be used with the certificate: {other}")),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A reader's certificate is verified in every handshake.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Found { config, not_after })
}

/// The authorities of readers.
fn readers(path: &Path, mesh: &[Vec<u8>]) -> Result<RootCertStore, KeysError> {
    const FLAG: &str = "--dashboard-client-ca";
    let wrong = content(FLAG, path);
    let mut roots = RootCertStore::empty();
    for der in certificates(FLAG, path)? {
        if mesh.iter().any(|own| own == der.as_ref()) {
            return Err(wrong(
                "holds the root of the mesh, which signs for every workload: each of them could \
                 read everything; give an authority of the readers alone"
                    .to_owned(),
            ));
        }
        roots.add(der).map_err(|error| {
            wrong(format!("holds a certificate that is no authority's: {error}"))
        })?;
    }
    Ok(roots)
}
