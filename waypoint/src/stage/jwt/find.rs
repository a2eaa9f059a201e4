//! The token of a request, wherever a rule says that one may be.

use std::borrow::Cow;

use http::HeaderName;

use super::{Failure, Guards, TokenError};
use crate::config::authentication::place::{self, Place};
use crate::config::object::ObjectName;
use crate::config::view::RequestView;
use crate::http::head::Head;

/// A token, and where it was.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The token.
    pub(super) text: String,
    /// Its place.
    pub(super) place: &'a Place,
    /// An object that looks there.
    pub(super) object: &'a ObjectName,
}

/// The one token of a request.
///
/// # Errors
/// `Unauthenticated` if it has several: which one speaks would be open.
pub(super) fn token<'a>(
    guards: Guards<'_, 'a>,
    request: &RequestView<'_>,
) -> Result<Option<Found<'a>>, Failure> {
    let mut found: Option<Found<'a>> = None;
    for (object, place) in places(guards) {
        for text in place.find(request) {
            if found.is_some() {
                return Err(refused(object, TokenError::Several));
            }
            found = Some(Found { text: Cow::into_owned(text), place, object });
        }
    }
    Ok(found)
}

fn refused(object: &ObjectName, reason: TokenError) -> Failure {
    Failure::Unauthenticated { policy: object.clone(), reason }
}

/// Each place once, with the first object that looks there.
fn places<'a>(guards: Guards<'_, 'a>) -> Vec<(&'a ObjectName, &'a Place)> {
    let mut all: Vec<(&ObjectName, &Place)> = Vec::new();
    for &guard in guards {
        for place in guard.rules.iter().flat_map(|rule| &rule.places) {
            if all.iter().all(|(_, known)| *known != place) {
                all.push((&guard.object, place));
            }
        }
    }
    all
}

/// Whether tokens may be in the field `name`.
pub(super) fn is_place(guards: Guards<'_, '_>, name: &HeaderName) -> bool {
    let is = |place: &Place| matches!(place, Place::Header(field, _) if field == name);
    places(guards).iter().any(|(_, place)| is(place))
}

/// The head without what no log may have: tokens in the query. None if there are none.
pub(super) fn without_tokens(guards: Guards<'_, '_>, head: &Head) -> Option<Head> {
    let query = head.query.as_deref()?;
    let places = places(guards);
    let names: Vec<&str> = places
        .iter()
        .filter_map(|(_, place)| match place {
            Place::Param(name) => Some(name.as_str()),
            Place::Header(..) | Place::Cookie(_) => None,
        })
        .collect();
    let is_token = |key: &str| names.iter().any(|name| place::is(key, name));
    if !place::params(query).any(|(key, _)| is_token(key)) {
        return None;
    }
    let shown = query.split('&').map(|pair| {
        let key = pair.split('=').next().unwrap_or_default();
        if is_token(key) { format!("{key}=-").into() } else { Cow::Borrowed(pair) }
    });
    Some(Head { query: Some(shown.collect::<Vec<_>>().join("&")), ..head.clone() })
}
