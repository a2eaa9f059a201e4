//! Certificates for other proxies that authenticate each other, as their files name them.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Who both proxies are.
pub const IDENTITY: &str = "spiffe://cluster.local/ns/bench/sa/proxy";

/// Writes into `directory` an authority's `ca.pem`, and `cert.pem` and `key.pem` that it signed,
/// ECDSA P-256 as in the mesh.
///
/// # Errors
/// If a file cannot be written.
pub fn write(directory: &Path) -> anyhow::Result<()> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "benchmark");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(IDENTITY.try_into()?)];
    leaf.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    for (name, pem) in
        [("ca.pem", authority.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())]
    {
        fs::write(directory.join(name), pem)?;
    }
    Ok(())
}
