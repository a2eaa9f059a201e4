//! Service-account tokens of a Kubernetes cluster, reviewed by its API server.
//!
//! docs/wire.md, "Certificates". The token says which pod it was made for; the model says on
//! which node that pod is. So a node proxy can speak for no node but its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tonic::async_trait;
use tonic::metadata::MetadataMap;

use super::credential::AUDIENCE;
use super::{AuthError, Authenticator, Caller, Role, bearer};
use crate::limits;
use crate::model::object::Key;
use crate::model::world::World;
use crate::status::Board;
use crate::sync;

/// How long an accepted token is not asked about again. A pod that goes is refused at once all
/// the same.
const REMEMBERED: Duration = Duration::from_mins(1);

/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every token of a service account has its holder in this group.
const GROUP: &str = "system:serviceaccounts";

/// What the API server says of a token that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    account: Key,
    pod: String,
    uid: String,
}

/// Why a reviewed token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// Not signed by the cluster, ended, or for somebody else.
    #[error("the API server does not accept the token: {0}")]
    Refused(String),
    /// It is good, and not for us.
    #[error("the token is not for the audience istio-ca")]
    Audience,
    /// A person's or a machine's.
    #[error("the token's holder is no service account")]
    NoAccount,
    /// Made by hand, or by an old kubelet.
    #[error("the token is bound to no pod; mount it as a projected volume")]
    NoPod,
}

/// Accepts the tokens that the cluster's API server accepts.
pub struct Reviewed {
    reviews: Api<TokenReview>,
    world: Arc<RwLock<World>>,
    board: Board,
    nodes: Key,
    known: Mutex<HashMap<[u8; 32], (Holder, Instant)>>,
    asking: Semaphore,
}

impl std::fmt::Debug for Reviewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviewed").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Reviewed {
    /// Asks through `client`; the pods are those of `world`, once `board` says that it was
    /// read. Pods of the account `nodes` act for their nodes.
    pub fn new(client: kube::Client, world: Arc<RwLock<World>>, board: Board, nodes: Key) -> Self {
        let asking = Semaphore::new(limits::MAX_REVIEWS);
        Self { reviews: Api::all(client), world, board, nodes, known: Mutex::default(), asking }
    }

    async fn holder(&self, token: &str) -> Result<Holder, AuthError> {
        if token.len() > limits::MAX_TOKEN_BYTES || token.split('.').count() != 3 {
            let said = "it is no signed token".to_owned();
            return Err(AuthError::Review(ReviewError::Refused(said)));
        }
        let name = fingerprint(token);
        if let Some(holder) = self.remembered(&name, Instant::now()) {
            return Ok(holder);
        }
        // The semaphore is never closed.
        let _turn = self.asking.acquire().await.map_err(|_| AuthError::NotYet)?;
        let status = tokio::time::timeout(PATIENCE, self.review(token)).await;
        let status = status.map_err(|_| AuthError::Unanswered("no answer in 5 s".to_owned()))?;
        let holder = read(status?).map_err(AuthError::Review)?;
        self.remember(name, holder.clone(), Instant::now());
        Ok(holder)
    }

    async fn review(&self, token: &str) -> Result<TokenReview, AuthError> {
        let spec =
            TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: token.to_owned() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.reviews.create(&PostParams::default(), &review).await;
        answer.map_err(|error| AuthError::Unanswered(error.to_string()))
    }

    fn remembered(&self, name: &[u8; 32], now: Instant) -> Option<Holder> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).filter(|(_, until)| now < *until).map(|(holder, _)| holder.clone())
    }

    fn remember(&self, name: [u8; 32], holder: Holder, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::MAX_REVIEWED_TOKENS {
            known.retain(|_, (_, until)| now < *until);
        }
        // All of them young: the next ones are asked about each time.
        if known.len() < limits::MAX_REVIEWED_TOKENS {
            known.insert(name, (holder, now + REMEMBERED));
        }
    }

    /// The pod that the token was made for, if it is there.
    fn caller(&self, holder: Holder) -> Result<Caller, AuthError> {
        let pod = Key::new(&holder.account.namespace, &holder.pod);
        let world = sync::read(&self.world);
        let found = world.pod(&pod).filter(|found| {
            let account = found.service_account == holder.account.name;
            account && found.uid == holder.uid && !found.terminated && !found.node.is_empty()
        });
        let Some(found) = found else { return Err(AuthError::PodGone(pod)) };
        let (node, uid) = (found.node.clone(), holder.uid);
        let role = if holder.account == self.nodes { Role::Node } else { Role::Pod { pod, uid } };
        let Key { namespace, name } = holder.account;
        Ok(Caller { namespace, service_account: name, node, role })
    }
}

#[async_trait]
impl Authenticator for Reviewed {
    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Caller, AuthError> {
        // Without the pods nobody could be told from somebody who is gone.
        if !self.board.synced() {
            return Err(AuthError::NotYet);
        }
        let token = bearer(metadata).ok_or(AuthError::NoToken)?;
        let holder = self.holder(token).await?;
        self.caller(holder)
    }
}

/// A token's place in the memory: nobody who reads that memory learns the token.
pub(crate) fn fingerprint(token: &str) -> [u8; 32] {
    let mut name = [0; 32];
    name.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    name
}

fn read(review: TokenReview) -> Result<Holder, ReviewError> {
    let status = review.status.unwrap_or_default();
    if status.authenticated != Some(true) {
        let said = status.error.unwrap_or_else(|| "it gives no reason".to_owned());
        return Err(ReviewError::Refused(said.chars().take(300).collect()));
    }
    // A server that does not know audiences leaves them out: then nothing was checked.
    if !status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE) {
        return Err(ReviewError::Audience);
    }
    let user = status.user.unwrap_or_default();
    if !user.groups.iter().flatten().any(|group| group == GROUP) {
        return Err(ReviewError::NoAccount);
    }
    let name = user.username.as_deref().and_then(|n| n.strip_prefix("system:serviceaccount:"));
    let (namespace, account) =
        name.and_then(|n| n.split_once(':')).ok_or(ReviewError::NoAccount)?;
    let account = Key::new(namespace, account);
    let (pod, uid) = (extra(&user, "pod-name")?, extra(&user, "pod-uid")?);
    Ok(Holder { account, pod, uid })
}

/// The one value that the API server adds under this name.
fn extra(user: &UserInfo, name: &str) -> Result<String, ReviewError> {
    let key = format!("authentication.kubernetes.io/{name}");
    let values = user.extra.as_ref().and_then(|extra| extra.get(&key));
    match values.map(Vec::as_slice) {
        Some([one]) if !one.is_empty() => Ok(one.clone()),
        _ => Err(ReviewError::NoPod),
    }
}

#[cfg(test)]
mod tests;
