//! RequestAuthentication: whose tokens are trusted.
//!
//! What cannot be understood refuses more, never less: a rule whose keys cannot be used refuses
//! the tokens of its issuer, and where it is open whose tokens a rule is about, where they are or
//! what an application trusts, every request to the targets is refused.

use std::time::Duration;

use http::HeaderName;
use serde_json::Value;

use super::{Note, ReadError, decode_quietly, raw_meta};
use crate::api::security::{JwtRule as Spec, RequestAuthenticationSpec};
use crate::jwks::set::KeySet;
use crate::jwks::url::KeySetUrl;
use crate::limits::{LONGEST_FETCH, MAX_JWT_RULES};
use crate::model::object::{JwtKeys, JwtRule, Kind, Object, RequestAuthentication};
use crate::translate::waypoint::duration;

type Result<T> = std::result::Result<T, ReadError>;

/// How long a fetch may take unless the rule says so.
const TIMEOUT: Duration = Duration::from_secs(5);
const REFUSES_ALL: &str = "until it is right, every request to the targets is refused";
const REFUSES_TOKENS: &str = "until it is right, tokens of this issuer are refused";

pub(super) fn request_authentication(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::RequestAuthentication, notes)?;
    let empty = Value::Object(serde_json::Map::new());
    let raw = value.get("spec").unwrap_or(&empty);
    let (spec, unknown) = decode_quietly::<RequestAuthenticationSpec>(raw, "spec")?;
    let mut wrong: Vec<ReadError> = unknown
        .into_iter()
        .map(|field| ReadError::field(field, "is no field of this kind"))
        .collect();
    let mut rules = Vec::new();
    match list(&spec.jwt_rules) {
        Ok(raw) => {
            for (index, value) in raw.iter().enumerate() {
                match rule(value, &format!("spec.jwtRules[{index}]"), notes) {
                    Ok(rule) => rules.push(rule),
                    Err(error) => wrong.push(error),
                }
            }
        }
        Err(error) => wrong.push(error),
    }
    for error in &wrong {
        notes.push(Note::new(error.path(), format!("{error}; {REFUSES_ALL}")));
    }
    let unreadable = wrong.first().map(|error| format!("{} {error}", error.path()));
    let targets = spec.target_ref.into_iter().chain(spec.target_refs).collect();
    Ok(Object::RequestAuthentication(Box::new(RequestAuthentication {
        meta,
        targets,
        rules,
        unreadable,
    })))
}

fn list(rules: &Value) -> Result<&[Value]> {
    let wrong = |message: String| Err(ReadError::field("spec.jwtRules", message));
    match rules {
        Value::Null => Ok(&[]),
        Value::Array(all) if all.len() <= MAX_JWT_RULES => Ok(all),
        Value::Array(all) => {
            wrong(format!("has {} rules, more than MAX_JWT_RULES ({MAX_JWT_RULES})", all.len()))
        }
        _ => wrong("is no list".to_owned()),
    }
}

/// # Errors
/// If it is open whose tokens the rule is about, where they are, or what an application trusts.
fn rule(value: &Value, at: &str, notes: &mut Vec<Note>) -> Result<JwtRule> {
    let (spec, _) = decode_quietly::<Spec>(value, at)?;
    let wrong = |field: &str, message: &str| ReadError::field(format!("{at}.{field}"), message);
    if spec.issuer.is_empty() {
        return Err(wrong("issuer", "is missing; write the claim iss of the tokens"));
    }
    places(&spec, at)?;
    outputs(&spec, at)?;
    let keys = keys(&spec, at, notes).unwrap_or_else(|error| {
        notes.push(Note::new(error.path(), format!("{error}; {REFUSES_TOKENS}")));
        JwtKeys::Refused(format!("{} {error}", error.path()))
    });
    Ok(JwtRule {
        issuer: spec.issuer,
        audiences: spec.audiences,
        keys,
        from_headers: spec.from_headers,
        from_params: spec.from_params,
        from_cookies: spec.from_cookies,
        forward: spec.forward_original_token,
        payload_header: spec.output_payload_to_header,
        claim_headers: spec.output_claim_to_headers,
        space_delimited_claims: spec.space_delimited_claims,
    })
}

fn places(spec: &Spec, at: &str) -> Result<()> {
    for (index, header) in spec.from_headers.iter().enumerate() {
        if header.name.parse::<HeaderName>().is_err() {
            let message = format!("is {:?}; write the name of a header", header.name);
            return Err(ReadError::field(format!("{at}.fromHeaders[{index}].name"), message));
        }
    }
    let is_token = |name: &String| name.parse::<HeaderName>().is_ok();
    for (field, names, is) in [
        ("fromParams", &spec.from_params, (|name| !name.is_empty()) as fn(&String) -> bool),
        // A cookie's name is made of the same letters as a header's.
        ("fromCookies", &spec.from_cookies, is_token),
    ] {
        if let Some(index) = names.iter().position(|name| !is(name)) {
            let found = names.get(index).map(String::as_str).unwrap_or_default();
            let message = format!("is {found:?}, which is no name");
            return Err(ReadError::field(format!("{at}.{field}[{index}]"), message));
        }
    }
    Ok(())
}

/// Fields that an application would trust, so nothing else may set them, and no hop.
fn outputs(spec: &Spec, at: &str) -> Result<()> {
    let payload = Some(("outputPayloadToHeader".to_owned(), &spec.output_payload_to_header));
    let payload = payload.filter(|(_, name)| !name.is_empty());
    let claims = spec.output_claim_to_headers.iter().enumerate();
    let claims = claims.map(|(i, c)| (format!("outputClaimToHeaders[{i}].header"), &c.header));
    for (field, name) in payload.into_iter().chain(claims) {
        let field = format!("{at}.{field}");
        let Ok(parsed) = name.parse::<HeaderName>() else {
            return Err(ReadError::field(
                field,
                format!("is {name:?}; write the name of a header"),
            ));
        };
        if is_reserved(parsed.as_str()) {
            return Err(ReadError::field(field, format!("is {name:?}, which is not yours to set")));
        }
        let is_place = |name: &str| parsed.as_str().eq_ignore_ascii_case(name);
        let custom = !(spec.from_headers.is_empty()
            && spec.from_params.is_empty()
            && spec.from_cookies.is_empty());
        if spec.from_headers.iter().any(|header| is_place(&header.name))
            || (!custom && is_place("authorization"))
            || (!spec.from_cookies.is_empty() && is_place("cookie"))
        {
            let message = format!("is {name:?}, where the rule looks for tokens");
            return Err(ReadError::field(field, message));
        }
    }
    for (index, claim) in spec.output_claim_to_headers.iter().enumerate() {
        if claim.claim.is_empty() {
            let field = format!("{at}.outputClaimToHeaders[{index}].claim");
            return Err(ReadError::field(field, "is missing; write the name of a claim"));
        }
    }
    Ok(())
}

/// Fields of the connection, of the message and of identity.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
            | "content-type"
            | "content-encoding"
            | "expect"
            | "x-forwarded-client-cert"
            | "x-forwarded-network"
            | "x-istio-source"
            | "x-request-id"
    ) || name.starts_with("x-envoy-")
}

fn keys(spec: &Spec, at: &str, notes: &mut Vec<Note>) -> Result<JwtKeys> {
    let field = |name: &str| format!("{at}.{name}");
    match (spec.jwks.is_empty(), spec.jwks_uri.is_empty()) {
        (true, true) => {
            let message = "is missing, as is jwks; write one of them";
            Err(ReadError::field(field("jwksUri"), message))
        }
        (false, false) => {
            Err(ReadError::field(field("jwksUri"), "is there beside jwks; take one of them out"))
        }
        (false, true) => {
            let read = KeySet::read(spec.jwks.as_bytes());
            let read = read.map_err(|e| ReadError::field(field("jwks"), e.to_string()))?;
            notes.extend(read.remarks.into_iter().map(|said| Note::new(field("jwks"), said)));
            Ok(JwtKeys::Inline(read.set))
        }
        (true, false) => {
            let url = KeySetUrl::new(&spec.jwks_uri);
            let url = url.map_err(|message| ReadError::field(field("jwksUri"), message))?;
            Ok(JwtKeys::Remote { url, timeout: timeout(spec, at)? })
        }
    }
}

fn timeout(spec: &Spec, at: &str) -> Result<Duration> {
    let Some(text) = &spec.timeout else { return Ok(TIMEOUT) };
    let read = duration::read(text).and_then(|read| Duration::try_from(read).ok());
    let fits = |time: &Duration| !time.is_zero() && *time <= LONGEST_FETCH;
    read.filter(fits).ok_or_else(|| {
        let message = format!("is {text:?}; write a duration of up to 60s, such as 5s");
        ReadError::field(format!("{at}.timeout"), message)
    })
}
