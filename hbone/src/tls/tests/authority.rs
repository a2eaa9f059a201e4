//! A certificate authority for tests.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

use crate::identity::SpiffeId;
use crate::tls::{CertificateError, CertificateRequest, WorkloadCertificate};

/// An authority that signs what it is told to, so that tests can have what no CA would make.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("root").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `id`, after `change` had its way with the leaf.
    pub(crate) fn issue(
        &self,
        id: &SpiffeId,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<WorkloadCertificate, CertificateError> {
        let request = CertificateRequest::generate(id).expect("request");
        let csr = rcgen::CertificateSigningRequestParams::from_pem(request.pem()).expect("csr");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![uri(&id.to_string())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let leaf = params.signed_by(&csr.public_key, &self.issuer).expect("leaf").pem();
        WorkloadCertificate::from_chain(request, &[leaf, self.pem.clone()])
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}
