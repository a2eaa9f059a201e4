//! Whose a token is, and what he may read: the API server says both.
//!
//! What it said is remembered for [`limits::DASHBOARD_MEMORY`], by a hash of the token. Without an
//! answer nobody is let in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hbone::brand;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::refusal::Refusal;
use crate::auth::review::fingerprint;
use crate::limits;

/// How long the API server may take, a turn to ask it included.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a token.
struct Known {
    user: Arc<UserInfo>,
    until: Instant,
    /// By the hash of the path: whether he may, and until when that counts.
    rights: HashMap<[u8; 32], (bool, Instant)>,
}

/// Asks the API server.
pub struct Reviewer {
    tokens: Api<TokenReview>,
    rights: Api<SubjectAccessReview>,
    audiences: Vec<String>,
    known: Mutex<HashMap<[u8; 32], Known>>,
    asking: Semaphore,
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviewer").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}

impl Reviewer {
    /// Asks through `client`; tokens must be for one of `audiences`.
    pub fn new(client: kube::Client, audiences: Vec<String>) -> Self {
        Self {
            tokens: Api::all(client.clone()),
            rights: Api::all(client),
            audiences,
            known: Mutex::default(),
            asking: Semaphore::new(limits::MAX_DASHBOARD_REVIEWS),
        }
    }

    /// Whether this token was accepted of late: then it is no guess.
    pub fn knows(&self, token: &str) -> bool {
        self.remembered(&fingerprint(token), Instant::now()).is_some()
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::Token`], [`Refusal::Unanswered`]
    pub async fn user(&self, token: &str) -> Result<Arc<UserInfo>, Refusal> {
        let fits = !token.is_empty() && token.len() <= limits::MAX_TOKEN_BYTES;
        if !fits || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::Malformed);
        }
        let id = fingerprint(token);
        if let Some(user) = self.remembered(&id, Instant::now()) {
            return Ok(user);
        }
        within(async {
            let _turn = self.turn().await?;
            // The questions of one page come together; the first one asks for all.
            if let Some(user) = self.remembered(&id, Instant::now()) {
                return Ok(user);
            }
            let spec = TokenReviewSpec {
                audiences: Some(self.audiences.clone()),
                token: token.to_owned(),
            };
            let review = TokenReview { spec, ..TokenReview::default() };
            let answer = self.tokens.create(&PostParams::default(), &review).await;
            let answer = answer
                .map_err(|error| unanswered(&error, "grant control create on tokenreviews"))?;
            match self.holder(answer) {
                Ok(user) => {
                    let user = Arc::new(user);
                    self.remember(id, user.clone(), Instant::now());
                    Ok(user)
                }
                Err(reason) => {
                    self.lock().remove(&id);
                    Err(Refusal::Token { audience: self.audiences.join(" or "), reason })
                }
            }
        })
        .await
    }

    /// That the holder of a token may `get` a page; who he is.
    ///
    /// # Errors
    /// As [`Reviewer::user`], and [`Refusal::Right`].
    pub async fn may_get(&self, token: &str, path: &str) -> Result<Arc<UserInfo>, Refusal> {
        let user = self.user(token).await?;
        let right = format!("{}{path}", brand::RIGHTS);
        let (id, page) = (fingerprint(token), fingerprint(&right));
        let known = self.right(&id, &page, Instant::now());
        let allowed = match known {
            Some(allowed) => allowed,
            None => within(self.ask_right(&id, page, &user, &right)).await?,
        };
        if allowed {
            return Ok(user);
        }
        Err(Refusal::Right { name: name(&user), right })
    }

    async fn ask_right(
        &self,
        id: &[u8; 32],
        page: [u8; 32],
        user: &UserInfo,
        right: &str,
    ) -> Result<bool, Refusal> {
        let _turn = self.turn().await?;
        if let Some(allowed) = self.right(id, &page, Instant::now()) {
            return Ok(allowed);
        }
        let path =
            NonResourceAttributes { path: Some(right.to_owned()), verb: Some("get".to_owned()) };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            non_resource_attributes: Some(path),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = self.rights.create(&PostParams::default(), &review).await;
        let answer = answer
            .map_err(|error| unanswered(&error, "grant control create on subjectaccessreviews"))?;
        let status = answer.status.unwrap_or_default();
        let allowed = status.allowed && status.denied != Some(true);
        let now = Instant::now();
        let mut known = self.lock();
        if let Some(known) = known.get_mut(id) {
            if known.rights.len() >= limits::MAX_DASHBOARD_RIGHTS {
                known.rights.retain(|_, (_, until)| now < *until);
            }
            if known.rights.len() < limits::MAX_DASHBOARD_RIGHTS {
                known.rights.insert(page, (allowed, now + limits::DASHBOARD_MEMORY));
            }
        }
        Ok(allowed)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        // The semaphore is never closed.
        self.asking.acquire().await.map_err(|error| Refusal::Unanswered(error.to_string()))
    }

    /// Whom the API server says that the token belongs to, or why to nobody.
    fn holder(&self, review: TokenReview) -> Result<UserInfo, String> {
        let status = review.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            return Err(status.error.unwrap_or_else(|| "it gives no reason".to_owned()));
        }
        // A server that does not know audiences leaves them out: then nothing was checked.
        let audiences = status.audiences.unwrap_or_default();
        if !audiences.iter().any(|audience| self.audiences.contains(audience)) {
            return Err("it is for another audience".to_owned());
        }
        let user = status.user.unwrap_or_default();
        let named = user.username.as_ref().is_some_and(|name| !name.is_empty());
        if named { Ok(user) } else { Err("its holder has no name".to_owned()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, id: &[u8; 32], now: Instant) -> Option<Arc<UserInfo>> {
        self.lock().get(id).filter(|known| now < known.until).map(|known| known.user.clone())
    }

    fn right(&self, id: &[u8; 32], page: &[u8; 32], now: Instant) -> Option<bool> {
        let known = self.lock();
        let (allowed, until) = known.get(id)?.rights.get(page)?;
        (now < *until).then_some(*allowed)
    }

    fn remember(&self, id: [u8; 32], user: Arc<UserInfo>, now: Instant) {
        let mut known = self.lock();
        if known.len() >= limits::MAX_DASHBOARD_TOKENS {
            known.retain(|_, known| now < known.until);
        }
        // All of them young: this one is asked about each time.
        if known.len() < limits::MAX_DASHBOARD_TOKENS || known.contains_key(&id) {
            let until = now + limits::DASHBOARD_MEMORY;
            // What he may was said of who he was.
            known.insert(id, Known { user, until, rights: HashMap::new() });
        }
    }
}

/// The user's name.
pub fn name(user: &UserInfo) -> String {
    user.username.clone().unwrap_or_default()
}

async fn within<T>(asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = || Refusal::Unanswered(format!("no answer in {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| late())?
}

fn unanswered(error: &kube::Error, advice: &str) -> Refusal {
    let refused = matches!(error, kube::Error::Api(status) if status.code == 403);
    let advice = if refused { format!("; {advice}") } else { String::new() };
    Refusal::Unanswered(format!("{error}{advice}"))
}

#[cfg(test)]
mod tests;
