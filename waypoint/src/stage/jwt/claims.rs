//! What must hold of a token's claims (RFC 7519 section 4.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::TokenError;

/// Clocks of issuers may differ from ours by this much.
pub(super) const SKEW: Duration = Duration::from_mins(1);

/// Checks types, times and audience; the audiences. What is absent is not checked: a token
/// without `exp` does not expire.
///
/// # Errors
/// What does not hold.
pub(super) fn check(
    claims: &Map<String, Value>,
    wanted: &[String],
    now: SystemTime,
) -> Result<Vec<String>, TokenError> {
    for name in ["sub", "azp"] {
        if !claims.get(name).is_none_or(Value::is_string) {
            return Err(TokenError::ClaimType(name));
        }
    }
    // Before 1970 nothing is valid.
    let now = now.duration_since(UNIX_EPOCH).map_err(|_| TokenError::NotYet)?.as_secs_f64();
    let skew = SKEW.as_secs_f64();
    let (expires, begins, issued) =
        (time(claims, "exp")?, time(claims, "nbf")?, time(claims, "iat")?);
    if expires.is_some_and(|expires| now >= expires + skew) {
        return Err(TokenError::Expired);
    }
    if begins.into_iter().chain(issued).any(|begins| now + skew < begins) {
        return Err(TokenError::NotYet);
    }
    let audiences = audiences(claims.get("aud"))?;
    if !wanted.is_empty() && !audiences.iter().any(|audience| wanted.contains(audience)) {
        return Err(TokenError::Audience);
    }
    Ok(audiences)
}

/// Seconds since 1970, perhaps with a fraction.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => number.as_f64().map(Some).ok_or(TokenError::ClaimType(name)),
        Some(_) => Err(TokenError::ClaimType(name)),
    }
}

/// One text or a list of texts.
fn audiences(claim: Option<&Value>) -> Result<Vec<String>, TokenError> {
    let wrong = TokenError::ClaimType("aud");
    match claim {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or(wrong);
            all.iter().map(text).collect()
        }
        Some(_) => Err(wrong),
    }
}
