//! Who calls: one chain for discovery, certificates and the node service.
//!
//! - [`tokens`]: single-use join tokens
//! - [`credential`]: the signed credentials that a join token buys
//! - [`review`]: the service-account tokens of a Kubernetes cluster

pub mod credential;
pub mod review;
pub mod tokens;

use std::fmt;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::SystemTime;

use tonic::metadata::MetadataMap;
use tonic::{Status, async_trait};

use self::credential::{Claims, Issuer, Subject};
use crate::model::object::Key;
use crate::model::world::World;
use crate::sync;

/// Somebody whose credential was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The namespace of its service account.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// The machine that it is on.
    pub node: String,
    /// What it may do.
    pub role: Role,
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Acts for the pods of its node: node proxy and node agent.
    Node,
    /// Acts for itself.
    Pod {
        /// The pod.
        pod: Key,
        /// Its UID.
        uid: String,
    },
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Role::Node => write!(f, "node {}", self.node),
            Role::Pod { pod, .. } => write!(f, "pod {pod} on node {}", self.node),
        }
    }
}

/// Why nobody is let in. The caller hears none of it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No bearer token, or several.
    #[error("no single bearer token in the request's metadata")]
    NoToken,
    /// Not ours, expired, for another audience.
    #[error("the token is not valid")]
    Token(#[source] credential::CredentialError),
    /// The pod is gone, or another one has its name.
    #[error("the token's pod {0} is not there (any more)")]
    PodGone(Key),
    /// The API server's answer is no.
    #[error(transparent)]
    Review(review::ReviewError),
    /// The API server gave none.
    #[error("the API server does not review tokens: {0}; grant create on tokenreviews")]
    Unanswered(String),
    /// The pods are not known yet.
    #[error("the source has not been read yet")]
    NotYet,
}

impl AuthError {
    /// What the caller hears: nothing of the reason, but whether to come again.
    pub fn status(&self) -> Status {
        match self {
            Self::Unanswered(_) | Self::NotYet => {
                Status::unavailable("callers cannot be authenticated now")
            }
            Self::NoToken | Self::Token(_) | Self::PodGone(_) | Self::Review(_) => refusal(),
        }
    }
}

/// Accepts or refuses callers.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Who sends requests with this metadata.
    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, AuthError>;
}

/// Accepts the credentials that this control plane issued.
#[derive(Debug)]
pub struct IssuedCredentials {
    issuer: Arc<Issuer>,
    world: Arc<RwLock<World>>,
}

impl IssuedCredentials {
    /// An authenticator over the credentials of `issuer` and the pods of `world`.
    pub fn new(issuer: Arc<Issuer>, world: Arc<RwLock<World>>) -> Self {
        Self { issuer, world }
    }

    fn caller(&self, claims: Claims) -> Result<Caller, AuthError> {
        let (namespace, service_account) = claims.account();
        let (namespace, service_account) = (namespace.to_owned(), service_account.to_owned());
        let role = match claims.subject {
            Subject::Node => Role::Node,
            Subject::Pod { name, uid } => {
                let pod = Key::new(&namespace, &name);
                let world = sync::read(&self.world);
                // A credential lives as long as its pod; UID and node make it this very one.
                let same = world.pod(&pod).is_some_and(|p| {
                    p.uid == uid
                        && p.node == claims.node
                        && p.service_account == service_account
                        && !p.terminated
                });
                if !same {
                    return Err(AuthError::PodGone(pod));
                }
                Role::Pod { pod, uid }
            }
        };
        Ok(Caller { namespace, service_account, node: claims.node, role })
    }
}

#[async_trait]
impl Authenticator for IssuedCredentials {
    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, AuthError> {
        let token = bearer(metadata).ok_or(AuthError::NoToken)?;
        let claims = self.issuer.verify(token, SystemTime::now()).map_err(AuthError::Token)?;
        self.caller(claims)
    }
}

/// The one bearer token of a request.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let mut all = metadata.get_all("authorization").iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// What a caller that is not let in hears: nothing of the reason.
pub fn refusal() -> Status {
    Status::unauthenticated("request authenticate failure")
}
