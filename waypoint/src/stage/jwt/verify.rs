//! Is this a token of an issuer that is trusted? Pure.
//!
//! RFC 7515 (signatures), RFC 7519 (claims), RFC 8725 (what goes wrong with both).

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::find::Found;
use super::{Guards, MAX_TOKEN, claims};
use crate::config::authentication::{Authentication, TokenRule};
use crate::config::object::ObjectName;
use crate::token::Bearer;

/// Why a token is not accepted. No part of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each says what it means.
pub enum TokenError {
    #[error("the request has more than one token")]
    Several,
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    #[error("the token is no signed JSON web token")]
    Malformed,
    #[error("the token has a critical extension that is not understood")]
    Critical,
    #[error("the token's algorithm is none that is accepted")]
    Algorithm,
    #[error("the token's issuer is not known here")]
    Issuer,
    #[error("there are no keys for the token's issuer")]
    NoKeys,
    #[error("the token names a key that its issuer does not have")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token's claim {0} is of a wrong type")]
    ClaimType(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token's subject reads like one of another issuer")]
    Subject,
}

impl TokenError {
    /// The label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Several => "several",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Critical => "critical",
            Self::Algorithm => "algorithm",
            Self::Issuer => "issuer",
            Self::NoKeys => "no_keys",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::ClaimType(_) => "claim_type",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Audience => "audience",
            Self::Subject => "subject",
        }
    }

    /// The same in `response_code_details`, as Envoy's filter begins it.
    pub fn details(self) -> &'static str {
        match self {
            Self::Several => "jwt_authn_access_denied{several}",
            Self::TooLong => "jwt_authn_access_denied{too_long}",
            Self::Malformed => "jwt_authn_access_denied{malformed}",
            Self::Critical => "jwt_authn_access_denied{critical}",
            Self::Algorithm => "jwt_authn_access_denied{algorithm}",
            Self::Issuer => "jwt_authn_access_denied{issuer}",
            Self::NoKeys => "jwt_authn_access_denied{no_keys}",
            Self::UnknownKey => "jwt_authn_access_denied{unknown_key}",
            Self::Signature => "jwt_authn_access_denied{signature}",
            Self::ClaimType(_) => "jwt_authn_access_denied{claim_type}",
            Self::Expired => "jwt_authn_access_denied{expired}",
            Self::NotYet => "jwt_authn_access_denied{not_yet}",
            Self::Audience => "jwt_authn_access_denied{audience}",
            Self::Subject => "jwt_authn_access_denied{subject}",
        }
    }
}

/// A token that was verified.
#[derive(Debug)]
pub(super) struct Token {
    /// Whose it is.
    pub(super) bearer: Bearer,
    /// Its middle part, as it came.
    pub(super) payload: String,
}

type Refused<'a> = (Option<&'a ObjectName>, TokenError);
type Accepted<'a> = (&'a ObjectName, &'a TokenRule, Token);

/// Verifies a token by the rules that look where it was found. Of several rules of its issuer
/// one must accept it, but one that refuses whatever comes refuses this too.
///
/// # Errors
/// Why it is not accepted, and the object whose rule says so, if one is concerned.
pub(super) fn token<'a>(
    guards: Guards<'_, 'a>,
    found: &Found<'a>,
    now: SystemTime,
) -> Result<Accepted<'a>, Refused<'a>> {
    let read = Read::new(&found.text).map_err(|reason| (None, reason))?;
    let all = || {
        let rules = |guard: &'a Arc<Authentication>| {
            guard.rules.iter().map(move |rule| (&guard.object, rule))
        };
        guards.iter().copied().flat_map(rules)
    };
    let of_issuer = || all().filter(|(_, rule)| *rule.issuer == *read.issuer);
    if let Some((object, _)) = of_issuer().find(|(_, rule)| rule.keys.is_err()) {
        return Err((Some(object), TokenError::NoKeys));
    }
    let mut refused = (None, TokenError::Issuer);
    for (object, rule) in of_issuer().filter(|(_, rule)| rule.places.contains(found.place)) {
        match read.accepted_by(rule, now) {
            Ok(bearer) if is_ambiguous(&bearer, all().map(|(_, rule)| rule)) => {
                refused = (Some(object), TokenError::Subject);
            }
            Ok(bearer) => {
                return Ok((object, rule, Token { bearer, payload: read.payload.to_owned() }));
            }
            Err(reason) => refused = (Some(object), reason),
        }
    }
    Err(refused)
}

/// Whether `iss/sub` is what a token of another issuer, with a longer name, would say too: then
/// a policy that names the other's subjects would mean this one.
fn is_ambiguous<'a>(bearer: &Bearer, mut rules: impl Iterator<Item = &'a TokenRule>) -> bool {
    let Some(principal) = bearer.principal() else { return false };
    rules.any(|rule| {
        rule.issuer.len() > bearer.issuer().len()
            && principal.strip_prefix(&*rule.issuer).is_some_and(|rest| rest.starts_with('/'))
    })
}

/// A token in its parts; nothing of it is believed yet.
struct Read<'a> {
    algorithm: String,
    key: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
    issuer: String,
}

impl<'a> Read<'a> {
    fn new(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header = object(header)?;
        // RFC 7515 section 4.1.11: what is critical and not understood is refused; we
        // understand no extension.
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let text = |map: &Map<String, Value>, name: &str| match map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenError::Malformed),
        };
        let claims = object(payload)?;
        let issuer = match claims.get("iss") {
            Some(Value::String(issuer)) => issuer.clone(),
            Some(_) => return Err(TokenError::ClaimType("iss")),
            None => return Err(TokenError::Issuer),
        };
        Ok(Self {
            algorithm: text(&header, "alg")?.ok_or(TokenError::Malformed)?,
            key: text(&header, "kid")?,
            signed,
            payload,
            signature: bytes(signature)?,
            claims,
            issuer,
        })
    }

    fn accepted_by(&self, rule: &TokenRule, now: SystemTime) -> Result<Bearer, TokenError> {
        self.is_signed(rule)?;
        let audiences = claims::check(&self.claims, &rule.audiences, now)?;
        Ok(Bearer::new(self.claims.clone(), audiences, &rule.word_claims))
    }

    fn is_signed(&self, rule: &TokenRule) -> Result<(), TokenError> {
        let keys = rule.keys.as_ref().map_err(|_| TokenError::NoKeys)?;
        let named = || keys.iter().filter(|key| key.may_be(self.key.as_deref()));
        if named().next().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if !named().any(|key| key.is_for(&self.algorithm)) {
            return Err(TokenError::Algorithm);
        }
        let message = self.signed.as_bytes();
        let signed = named().any(|key| key.verifies(&self.algorithm, message, &self.signature));
        if signed { Ok(()) } else { Err(TokenError::Signature) }
    }
}

/// A part that is a JSON object.
fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| TokenError::Malformed)
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}
