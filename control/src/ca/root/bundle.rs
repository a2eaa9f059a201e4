//! PEM files with several certificates, and whether they lead where they should.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone::tls::crypto_provider;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Root;
use crate::ca::issue;

/// The name in the leaf that is made to try a chain.
const PROBE: &str = "probe.invalid";

/// Each certificate of a file, PEM with one line end behind it, and DER. None if there is none,
/// or something else.
pub(super) fn split(pem: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut all = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let block = block.ok().filter(|block| block.label == "CERTIFICATE")?;
        X509Certificate::from_der(&block.contents).ok()?;
        all.push(block.contents);
    }
    // The blocks as they are written, without what stands between them.
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    let written = text.split(begin).skip(1).filter_map(|rest| rest.split_once(end));
    let written: Vec<String> =
        written.map(|(body, _)| format!("{begin}\n{}\n{end}\n", body.trim())).collect();
    (!all.is_empty() && written.len() == all.len()).then(|| written.into_iter().zip(all).collect())
}

/// Signs a leaf and verifies it as a proxy would, now: so a chain that is out of order, or of
/// another root, is found at the start and not by every proxy.
pub(super) fn leads_to_a_root(
    root: &Root,
    roots: &[(String, Vec<u8>)],
) -> Result<(), &'static str> {
    let mut store = RootCertStore::empty();
    for (_, der) in roots {
        store
            .add(CertificateDer::from(der.as_slice()))
            .map_err(|_| "holds a certificate that cannot be a root")?;
    }
    let now = SystemTime::now();
    let life = Duration::from_mins(10);
    let made = issue::server(root, &[PROBE.to_owned()], life, now);
    // An authority that has ended signs nothing; that is told at each request.
    let Ok((leaf, _)) = made else { return Ok(()) };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), crypto_provider());
    let verifier = verifier.build().map_err(|_| "holds no certificate that can be a root")?;
    let between: Vec<_> = root.chain_der().map(CertificateDer::from).collect();
    let name = ServerName::try_from(PROBE).map_err(|_| "cannot be tried")?;
    let found = verifier.verify_server_cert(
        &CertificateDer::from(leaf),
        &between,
        &name,
        &[],
        UnixTime::now(),
    );
    found.map(drop).map_err(|_| {
        "does not hold the root of the certificate that signs; \
         give that root, and the whole chain to it"
    })
}
