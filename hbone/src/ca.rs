//! The client of the certificate authority (docs/wire.md, "Certificates").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::channel::{AuthorizedChannel, ChannelError, ControlPlane};
use crate::identity::SpiffeId;
use crate::tls::{CertificateError, CertificateRequest, RequestError, WorkloadCertificate};
use crate::wire::pb::istio::v1::auth as pb;
use pb::istio_certificate_service_client::IstioCertificateServiceClient;

/// How long one call may take, the connection included; twice that fits into what a new
/// connection waits for a certificate.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes: a chain and a bundle of roots.
const MAX_ANSWER: usize = 1 << 20;

/// Asks the authority for certificates, over one connection that is opened when needed.
#[derive(Debug)]
pub struct CaClient {
    control: ControlPlane,
    channel: Mutex<Option<AuthorizedChannel>>,
    timeout: Duration,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// No key or no request could be made.
    #[error("no certificate request for {id} could be made")]
    Request {
        /// The identity asked for.
        id: SpiffeId,
        /// Why.
        source: Box<RequestError>,
    },
    /// The authority could not be reached.
    #[error("the certificate authority cannot be reached")]
    Connect(#[from] ChannelError),
    /// The authority accepted the connection but did not answer.
    #[error("the certificate authority {servers} did not answer for {id} within {limit:?}")]
    Timeout {
        /// The identity asked for.
        id: SpiffeId,
        /// The servers configured.
        servers: String,
        /// The limit.
        limit: Duration,
    },
    /// The authority refused, or the call broke.
    #[error("the certificate authority refused {id}: {code:?}: {message}")]
    Refused {
        /// The identity asked for.
        id: SpiffeId,
        /// gRPC status.
        code: Code,
        /// The authority's text.
        message: String,
    },
    /// An answer that is no certificate for this request.
    #[error("the certificate authority's answer for {id} cannot be used")]
    Answer {
        /// The identity asked for.
        id: SpiffeId,
        /// What is wrong with it.
        source: Box<CertificateError>,
    },
}

impl CaClient {
    /// A client that connects at its first call.
    pub fn new(control: ControlPlane) -> Self {
        Self { control, channel: Mutex::default(), timeout: CALL_TIMEOUT }
    }

    /// Replaces the default of 5 s per call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A certificate for `id` with a new key, asked to live for `ttl` (whole seconds).
    ///
    /// `impersonate` is for a node proxy, which asks in the name of the node's pods; others
    /// get the identity of their token. The leaf must name exactly `id` in both cases.
    ///
    /// # Errors
    /// See [`CaError`]; after a timeout or a broken connection the next call connects anew.
    ///
    /// Cancel safe.
    pub async fn fetch(
        &self,
        id: &SpiffeId,
        impersonate: bool,
        ttl: Duration,
    ) -> Result<WorkloadCertificate, CaError> {
        let request = CertificateRequest::generate(id)
            .map_err(|source| CaError::Request { id: id.clone(), source: source.into() })?;
        let message = pb::IstioCertificateRequest {
            csr: request.pem().to_owned(),
            validity_duration: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
            metadata: impersonate.then(|| impersonated(id)),
        };
        let call = timeout(self.timeout, self.call(id, message)).await;
        let answer = call.unwrap_or_else(|_| Err(self.timed_out(id)))?;
        WorkloadCertificate::from_chain(request, &answer.cert_chain)
            .map_err(|source| CaError::Answer { id: id.clone(), source: source.into() })
    }

    fn timed_out(&self, id: &SpiffeId) -> CaError {
        self.forget_channel();
        self.control.give_up_address();
        let servers = self.control.servers();
        CaError::Timeout { id: id.clone(), servers, limit: self.timeout }
    }

    async fn call(
        &self,
        id: &SpiffeId,
        message: pb::IstioCertificateRequest,
    ) -> Result<pb::IstioCertificateResponse, CaError> {
        let channel = self.channel().await?;
        let mut client =
            IstioCertificateServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        let answer = client.create_certificate(message).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.refused(id, &status))
    }

    fn refused(&self, id: &SpiffeId, status: &Status) -> CaError {
        // A server that speaks for itself keeps its connection; anything else may be the
        // connection's fault, and the next call reads the roots anew.
        if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) {
            self.forget_channel();
            self.control.give_up_address();
        }
        let message = status.message().chars().take(256).collect();
        CaError::Refused { id: id.clone(), code: status.code(), message }
    }

    async fn channel(&self) -> Result<AuthorizedChannel, CaError> {
        if let Some(channel) = self.lock().clone() {
            return Ok(channel);
        }
        let channel = self.control.connect().await?;
        Ok(self.lock().get_or_insert(channel).clone())
    }

    fn forget_channel(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<AuthorizedChannel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn impersonated(id: &SpiffeId) -> Struct {
    let value = Value { kind: Some(Kind::StringValue(id.to_string())) };
    Struct { fields: BTreeMap::from([("ImpersonatedIdentity".to_owned(), value)]) }
}

#[cfg(test)]
mod tests;
