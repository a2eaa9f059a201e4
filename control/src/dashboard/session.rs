//! Browsers that signed in: a random name in a cookie, and here the token that it stands for.
//!
//! Nothing is decided here but how long: whether the token is good is asked at each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::audit::Audit;
use super::refusal::Refusal;
use crate::auth::review::fingerprint;
use crate::limits;

/// The cookie: `__Host-` has it go to this origin alone, over TLS alone.
pub const COOKIE: &str = "__Host-ambit-session";

struct Session {
    token: Arc<str>,
    name: String,
    began: Instant,
}

/// The sessions, by the hash of their names.
pub struct Sessions {
    held: Mutex<HashMap<[u8; 32], Session>>,
    audit: Arc<Audit>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// None yet.
    pub fn new(audit: Arc<Audit>) -> Self {
        Self { held: Mutex::default(), audit }
    }

    /// Begins one for the token of `name`; the cookie.
    ///
    /// # Errors
    /// [`Refusal::Full`]; or if the system has no randomness.
    pub fn begin(&self, token: &str, name: &str, now: Instant) -> Result<HeaderValue, Refusal> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Refusal::Unanswered("no randomness".to_owned()))?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, session| lives(session, now));
        let own = held.iter().filter(|(_, session)| session.name == name);
        let mut own: Vec<_> = own.map(|(id, session)| (session.began, *id)).collect();
        own.sort_unstable();
        let too_many = (own.len() + 1).saturating_sub(limits::MAX_DASHBOARD_SESSIONS_OF_ONE);
        for (_, id) in own.into_iter().take(too_many) {
            held.remove(&id);
        }
        if held.len() >= limits::MAX_DASHBOARD_SESSIONS {
            return Err(Refusal::Full);
        }
        let session = Session { token: token.into(), name: name.to_owned(), began: now };
        held.insert(fingerprint(&id), session);
        self.audit.sessions(held.len());
        Ok(cookie(&id, limits::DASHBOARD_SESSION_LIFE))
    }

    /// The token that the session of these header fields stands for. None without a cookie.
    ///
    /// # Errors
    /// [`Refusal::Ended`]
    pub fn token(&self, headers: &HeaderMap, now: Instant) -> Result<Option<Arc<str>>, Refusal> {
        let Some(id) = id(headers) else { return Ok(None) };
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let session = held.get(&fingerprint(id)).filter(|session| lives(session, now));
        session.map(|session| Some(session.token.clone())).ok_or(Refusal::Ended)
    }

    /// Ends one; whose it was, and the cookie that takes the browser's away.
    pub fn end(&self, headers: &HeaderMap) -> (Option<String>, HeaderValue) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = id(headers).and_then(|id| held.remove(&fingerprint(id)));
        self.audit.sessions(held.len());
        (ended.map(|session| session.name), cookie("", Duration::ZERO))
    }
}

fn lives(session: &Session, now: Instant) -> bool {
    now.saturating_duration_since(session.began) < limits::DASHBOARD_SESSION_LIFE
}

/// The name of the session. Two of them are none: nobody can put one beside that of ours.
fn id(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, id)| id);
    ours.next().filter(|_| ours.next().is_none())
}

fn cookie(id: &str, life: Duration) -> HeaderValue {
    let life = life.as_secs();
    let text = format!("{COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={life}");
    // Of our own letters.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
