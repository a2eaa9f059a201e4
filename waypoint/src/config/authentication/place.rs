//! Where a request has its token.

use std::borrow::Cow;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};

use crate::config::view::{RequestView, form_decode};

/// A place of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A header field, behind a prefix, which is compared without case.
    Header(HeaderName, String),
    /// A parameter of the query.
    Param(String),
    /// A cookie.
    Cookie(String),
}

impl Place {
    /// Those of a rule; the usual ones if it names none.
    ///
    /// # Errors
    /// If one is none.
    pub(super) fn all(wire: &pb::TokenRule) -> Result<Vec<Self>, String> {
        let header = |wire: &pb::TokenHeader| {
            let name = HeaderName::try_from(wire.name.as_str());
            let name = name.map_err(|_| format!("{:?} is no name of a header", wire.name))?;
            Ok(Self::Header(name, wire.prefix.clone()))
        };
        let headers: Result<Vec<_>, String> = wire.from_headers.iter().map(header).collect();
        let params = wire.from_params.iter().cloned().map(Self::Param);
        let cookies = wire.from_cookies.iter().cloned().map(Self::Cookie);
        let all: Vec<Self> = headers?.into_iter().chain(params).chain(cookies).collect();
        let bearer = || Self::Header(AUTHORIZATION, "Bearer ".to_owned());
        Ok(if all.is_empty() {
            vec![bearer(), Self::Param("access_token".to_owned())]
        } else {
            all
        })
    }

    /// The tokens that a request has here: none, one, or too many. A value that is no text is
    /// one that nobody accepts.
    pub fn find<'a>(&self, request: &RequestView<'a>) -> Vec<Cow<'a, str>> {
        match self {
            Self::Header(name, prefix) => {
                let values = request.headers.get_all(name).iter();
                values.filter_map(|value| after(value, prefix)).collect()
            }
            Self::Param(name) => params(request.query.unwrap_or_default())
                .filter(|(key, _)| is(key, name))
                .map(|(_, value)| form_decode(value).unwrap_or_default().into())
                .collect(),
            Self::Cookie(name) => {
                let lines = request.headers.get_all(COOKIE).iter();
                let found = lines.flat_map(cookies);
                found.filter(|(key, _)| key == name).map(|(_, value)| value.into()).collect()
            }
        }
    }
}

/// What follows `prefix`, if the value begins with it.
fn after<'a>(value: &'a HeaderValue, prefix: &str) -> Option<Cow<'a, str>> {
    let bytes = value.as_bytes().trim_ascii();
    // Blanks at the end of a value are no part of it (RFC 9110 section 5.5), so `Bearer` alone
    // is the prefix `Bearer ` with an empty token.
    let wanted = prefix.as_bytes().trim_ascii_end();
    let (begin, rest) = bytes.split_at_checked(wanted.len())?;
    let ends = wanted.len() == prefix.len() || rest.first().is_none_or(u8::is_ascii_whitespace);
    let found = ends && begin.eq_ignore_ascii_case(wanted);
    found.then(|| String::from_utf8_lossy(rest.trim_ascii()))
}

/// Names and values of a query as they are written.
pub fn params(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether a written name of a parameter means `name`.
pub fn is(written: &str, name: &str) -> bool {
    form_decode(written).is_some_and(|decoded| decoded == name)
}

/// Names and values of one `Cookie` line (RFC 6265 section 4.2).
pub fn cookies(line: &HeaderValue) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(line.as_bytes());
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let clean = |value: &str| value.trim().trim_matches('"').to_owned();
    pairs.map(|(name, value)| (name.trim().to_owned(), clean(value))).collect()
}
