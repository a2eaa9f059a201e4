//! What an application gets of a token, and gets from nobody else.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, HeaderName, HeaderValue};

use super::find::Found;
use super::{Guards, Verified};
use crate::config::authentication::TokenRule;
use crate::config::authentication::place::{self, Place};
use crate::http::head::Head;
use crate::token;

/// The fields that any object says that we set.
pub(super) fn of_us<'a>(guards: Guards<'_, 'a>) -> impl Iterator<Item = &'a HeaderName> {
    guards.iter().copied().flat_map(|guard| &guard.rules).flat_map(TokenRule::outputs)
}

/// Takes the token out unless it is to be forwarded, and tells what it says.
pub(super) fn apply(guards: Guards<'_, '_>, verified: Option<&Verified<'_>>, head: &mut Arc<Head>) {
    // Fields that are a place of tokens too could not be taken away before they were read.
    let ours = of_us(guards).filter(|name| super::find::is_place(guards, name));
    let forged: Vec<_> = ours.filter(|name| head.headers.contains_key(*name)).cloned().collect();
    if forged.is_empty() && verified.is_none() {
        return;
    }
    let head = Arc::make_mut(head);
    for name in forged {
        head.headers.remove(name);
    }
    let Some(verified) = verified else { return };
    if !verified.rule.forward {
        remove(&verified.place, head);
    }
    let payload = verified.rule.payload_header.iter();
    for (name, text) in payload.map(|name| (name, Some(verified.payload.as_str().into()))).chain(
        verified
            .rule
            .claim_headers
            .iter()
            .map(|(name, claim)| (name, verified.bearer.claim(claim).and_then(token::text))),
    ) {
        // A text with a line break can be in no field.
        if let Some(Ok(value)) = text.map(|text| HeaderValue::from_bytes(text.as_bytes())) {
            head.headers.insert(name, value);
        }
    }
}

/// Takes the token out of where it was.
fn remove(found: &Found<'_>, head: &mut Head) {
    match found.place {
        Place::Header(name, _) => drop(head.headers.remove(name)),
        Place::Param(name) => {
            let query = head.query.take().unwrap_or_default();
            let is_other =
                |pair: &&str| !place::is(pair.split('=').next().unwrap_or_default(), name);
            let rest: Vec<&str> = query.split('&').filter(is_other).collect();
            head.query = (!rest.is_empty()).then(|| rest.join("&"));
        }
        Place::Cookie(name) => remove_cookie(name, &mut head.headers),
    }
}

fn remove_cookie(name: &str, headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let is_other = |pair: &&[u8]| {
            let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            key.trim_ascii() != name.as_bytes()
        };
        let pairs = line.as_bytes().split(|byte| *byte == b';');
        let rest: Vec<&[u8]> = pairs.filter(is_other).map(<[u8]>::trim_ascii).collect();
        if let Ok(value) = HeaderValue::from_bytes(&rest.join(&b"; "[..]))
            && !value.is_empty()
        {
            headers.append(COOKIE, value);
        }
    }
}
