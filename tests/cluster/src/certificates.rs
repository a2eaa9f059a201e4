//! The cluster's own authority, and who gets a certificate of it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Issues certificates for as long as a cluster lives.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM of the certificate.
    pub certificate: PathBuf,
    /// PEM of the key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes a new one; its certificate is `NAME.crt` in `folder`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        valid(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        write(&folder.join(format!("{name}.crt")), &certificate.pem())?;
        write(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// A certificate for `user` of `groups`, as which it may connect and serve under `names`
    /// and `ips`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn issue(
        &self,
        file: &str,
        user: &str,
        groups: &[&str],
        names: &[&str],
        ips: &[IpAddr],
    ) -> anyhow::Result<Pair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        for name in names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        params.subject_alt_names.extend(ips.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let pair = Pair {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        write(&pair.certificate, &certificate.pem())?;
        write(&pair.key, &key.serialize_pem())?;
        Ok(pair)
    }
}

/// A key pair for signing tokens of service accounts.
///
/// # Errors
/// If a file cannot be written.
pub fn token_keys(folder: &Path) -> anyhow::Result<Pair> {
    let key = KeyPair::generate()?;
    let pair = Pair { certificate: folder.join("tokens.pub"), key: folder.join("tokens.key") };
    write(&pair.certificate, &key.public_key_pem())?;
    write(&pair.key, &key.serialize_pem())?;
    Ok(pair)
}

fn valid(params: &mut CertificateParams) {
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::minutes(5);
    params.not_after = now + time::Duration::days(30);
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}
