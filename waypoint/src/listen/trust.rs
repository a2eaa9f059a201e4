//! Whose certificates the listener accepts: the trust domain and its aliases.

use std::sync::{Arc, Mutex, PoisonError};

use hbone::identity::TrustDomain;
use hbone::tls::{CertificateError, WorkloadCertificate};
use rustls::ServerConfig;

/// TLS of the accepting side; made once for a certificate and a list of aliases.
#[derive(Default)]
pub struct ServerTls(Mutex<Option<Made>>);

struct Made {
    certificate: Arc<WorkloadCertificate>,
    aliases: Vec<TrustDomain>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// For `certificate`, and clients of any of `trusted` beside its own trust domain.
    pub(super) fn of(
        &self,
        certificate: &Arc<WorkloadCertificate>,
        trusted: &[TrustDomain],
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let own = certificate.identity().trust_domain();
        let aliases: Vec<_> = trusted.iter().filter(|domain| *domain != own).cloned().collect();
        if aliases.is_empty() {
            return certificate.server_config();
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*last
            && Arc::ptr_eq(&made.certificate, certificate)
            && made.aliases == aliases
        {
            return Ok(Arc::clone(&made.config));
        }
        let config = certificate.server_config_with(&aliases)?;
        let (certificate, kept) = (Arc::clone(certificate), Arc::clone(&config));
        *last = Some(Made { certificate, aliases, config: kept });
        Ok(config)
    }
}
