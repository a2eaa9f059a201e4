//! The certificate service: who gets which identity. docs/wire.md, "Certificates".

use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use hbone::identity::SpiffeId;
use hbone::wire::pb::istio::v1::auth::istio_certificate_service_server::IstioCertificateService;
use hbone::wire::pb::istio::v1::auth::{IstioCertificateRequest, IstioCertificateResponse};
use prost_types::value::Kind;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, async_trait};
use tracing::{info, warn};

use super::issue::{self, IssueError, Lives};
use super::metrics::CaMetrics;
use super::root::Root;
use crate::auth::{Authenticator, Caller, Role};
use crate::limits;
use crate::model::world::World;
use crate::sync;

/// The service.
#[derive(Debug)]
pub struct CaService {
    root: Arc<Root>,
    world: Arc<RwLock<World>>,
    authenticator: Arc<dyn Authenticator>,
    lives: Lives,
    metrics: CaMetrics,
    signing: Semaphore,
}

/// Why an identity is refused. The caller hears none of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefusal {
    /// No identity of a mesh.
    #[error("the wanted identity is not one")]
    Form,
    /// Another trust domain.
    #[error("the wanted identity is of another trust domain")]
    TrustDomain,
    /// Only nodes may ask for others.
    #[error("the caller may ask for its own identity only")]
    NotANode,
    /// No pod with it is on the caller's node.
    #[error("no pod with the wanted identity is on the caller's node")]
    NoSuchPod,
    /// More than one.
    #[error("the wanted identity is no single text")]
    NotOne,
}

impl CaService {
    /// The service over a root and the pods of `world`.
    pub fn new(
        root: Arc<Root>,
        world: Arc<RwLock<World>>,
        authenticator: Arc<dyn Authenticator>,
        lives: Lives,
        metrics: CaMetrics,
    ) -> Self {
        let signing = Semaphore::new(limits::MAX_SIGNING);
        Self { root, world, authenticator, lives, metrics, signing }
    }

    async fn create(
        &self,
        caller: &Caller,
        request: IstioCertificateRequest,
    ) -> Result<(SpiffeId, String), Status> {
        let wanted = wanted(&request);
        let id =
            wanted.and_then(|wanted| identity(&sync::read(&self.world), caller, wanted.as_deref()));
        let id = id.map_err(|reason| {
            self.metrics.refused.inc();
            let wanted = wanted_text(&request);
            warn!(%caller, wanted, %reason, "certificate refused");
            Status::unauthenticated("request impersonation authentication failure")
        })?;
        let life = self.lives.choose(request.validity_duration);
        let life = life.map_err(|e| self.failure(caller, &id, &e))?;
        let _permit = self.signing.acquire().await.map_err(|_| Status::unavailable("closing"))?;
        let (root, for_id) = (self.root.clone(), id.clone());
        let signed = tokio::task::spawn_blocking(move || {
            let parsed = issue::Request::read(&request.csr)?;
            issue::workload(&root, &parsed, &for_id, life, SystemTime::now())
        });
        let leaf = signed.await.map_err(|_| Status::internal("signing failed"))?;
        let leaf = leaf.map_err(|e| self.failure(caller, &id, &e))?;
        info!(%caller, identity = %id, seconds = life.as_secs(), "certificate issued");
        Ok((id, leaf))
    }

    /// Counts, logs and translates.
    fn failure(&self, caller: &Caller, identity: &SpiffeId, error: &IssueError) -> Status {
        warn!(%caller, %identity, reason = %error, "certificate refused");
        match error {
            IssueError::Request(_) => {
                self.metrics.unreadable.inc();
                Status::invalid_argument(error.to_string())
            }
            IssueError::Life { .. } => Status::invalid_argument(error.to_string()),
            IssueError::RootExpired | IssueError::Sign(_) => {
                self.metrics.sign_failed.inc();
                Status::internal(error.to_string())
            }
        }
    }
}

#[async_trait]
impl IstioCertificateService for CaService {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        self.metrics.requests.inc();
        let caller = self.authenticator.authenticate(request.metadata()).await;
        let caller = caller.map_err(|error| {
            self.metrics.refused.inc();
            warn!(%error, "certificate refused: caller not authenticated");
            error.status()
        })?;
        let (_, leaf) = self.create(&caller, request.into_inner()).await?;
        self.metrics.issued.inc();
        let between = self.root.chain().map(str::to_owned);
        let root = self.root.pem().to_owned();
        let cert_chain = std::iter::once(leaf).chain(between).chain([root]).collect();
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

const IMPERSONATED: &str = "ImpersonatedIdentity";

/// The identity that a request names; `None` is the caller's own.
fn wanted(request: &IstioCertificateRequest) -> Result<Option<String>, IdentityRefusal> {
    let value = request.metadata.as_ref().and_then(|m| m.fields.get(IMPERSONATED));
    match value.and_then(|v| v.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => Ok(None),
        Some(Kind::StringValue(text)) if text.is_empty() => Ok(None),
        Some(Kind::StringValue(text)) => Ok(Some(text.clone())),
        Some(_) => Err(IdentityRefusal::NotOne),
    }
}

/// The same for the log, short.
fn wanted_text(request: &IstioCertificateRequest) -> String {
    wanted(request).ok().flatten().unwrap_or_default().chars().take(200).collect()
}

/// The identity that `caller` gets when it asks for `wanted`.
///
/// # Errors
/// See [`IdentityRefusal`].
pub fn identity(
    world: &World,
    caller: &Caller,
    wanted: Option<&str>,
) -> Result<SpiffeId, IdentityRefusal> {
    let domain = world.mesh().trust_domain.clone();
    let own = SpiffeId::new(domain.clone(), &caller.namespace, &caller.service_account)
        .map_err(|_| IdentityRefusal::Form)?;
    let Some(wanted) = wanted else { return Ok(own) };
    let id: SpiffeId = wanted.parse().map_err(|_| IdentityRefusal::Form)?;
    if *id.trust_domain() != domain {
        return Err(IdentityRefusal::TrustDomain);
    }
    match caller.role {
        Role::Pod { .. } if id == own => Ok(own),
        Role::Pod { .. } => Err(IdentityRefusal::NotANode),
        Role::Node => {
            let mut pods = world.pods_on(&caller.node);
            let runs = pods.any(|p| {
                !p.failed
                    && p.meta.key.namespace == id.namespace()
                    && p.service_account == id.service_account()
            });
            if runs { Ok(id) } else { Err(IdentityRefusal::NoSuchPod) }
        }
    }
}

#[cfg(test)]
mod tests;
