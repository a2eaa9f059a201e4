//! Reading the values of a policy: wildcards, address blocks, paths.

use hbone::matching::{StringMatch, canonical_block};
use ipnet::IpNet;

use crate::path::decode_unreserved;

/// `*` any, `*x` suffix, `x*` prefix, else exact; a `*` elsewhere is a letter.
pub(super) fn wildcard(text: &str) -> StringMatch {
    if text == "*" {
        return StringMatch::Presence;
    }
    if let Some(suffix) = text.strip_prefix('*') {
        return StringMatch::Suffix(suffix.into());
    }
    text.strip_suffix('*').map_or_else(
        || StringMatch::Exact(text.into()),
        |prefix| StringMatch::Prefix(prefix.into()),
    )
}

/// Every value with `read`, or why one cannot be read.
pub(super) fn each<T>(
    values: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    values.iter().map(|value| read(value)).collect()
}

/// An address or a block of addresses.
pub(super) fn ip_block(text: &str) -> Result<IpNet, String> {
    let host = || text.parse().ok().map(|ip: std::net::IpAddr| IpNet::from(ip.to_canonical()));
    let block = text.parse().ok().or_else(host);
    block.map(canonical_block).ok_or_else(|| format!("{text:?} is no IP address or block"))
}

/// A port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no port"))
}

/// A path of a policy: wildcards as elsewhere, or a template of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathPattern {
    Text(StringMatch),
    Template(Vec<Segment>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    /// `{*}`: one segment.
    One,
    /// `{**}`: the rest, also none of it.
    Rest,
}

impl PathPattern {
    /// Reads a pattern and brings it into the form that canonical paths have; what no
    /// canonical path can have would silently never match, so it is an error.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.contains('{') || text.contains('}') {
            return template(text).map(Self::Template);
        }
        let pattern = match wildcard(text) {
            StringMatch::Exact(path) => StringMatch::Exact(literal(&path, text)?),
            StringMatch::Prefix(path) => StringMatch::Prefix(literal(&path, text)?),
            StringMatch::Suffix(path) => StringMatch::Suffix(literal(&path, text)?),
            StringMatch::Presence => StringMatch::Presence,
        };
        Ok(Self::Text(pattern))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(text) => text.matches(Some(path)),
            Self::Template(segments) => template_matches(segments, path),
        }
    }
}

fn literal(part: &str, whole: &str) -> Result<std::sync::Arc<str>, String> {
    let never = |why: &str| format!("{whole:?} can never be a canonical path: {why}");
    let decoded = decode_unreserved(part).map_err(|error| never(&error.to_string()))?;
    if decoded.contains("//") || decoded.contains("/./") || decoded.contains("/../") {
        return Err(never("it has '//', '/./' or '/../'"));
    }
    if decoded.contains('?') {
        return Err(never("it has a '?'; the query is no part of the path"));
    }
    Ok(decoded.into())
}

fn template(text: &str) -> Result<Vec<Segment>, String> {
    let rest = text.strip_prefix('/').ok_or_else(|| format!("{text:?} does not begin with '/'"))?;
    let mut segments = Vec::new();
    for segment in rest.split('/') {
        if segments.last() == Some(&Segment::Rest) {
            return Err(format!("{text:?}: {{**}} must be last"));
        }
        segments.push(match segment {
            "{*}" => Segment::One,
            "{**}" => Segment::Rest,
            _ if segment.contains(['{', '}', '*']) => {
                return Err(format!("{text:?}: a segment is text, {{*}} or {{**}}"));
            }
            _ => Segment::Literal(literal(segment, text)?.to_string()),
        });
    }
    Ok(segments)
}

fn template_matches(segments: &[Segment], path: &str) -> bool {
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
    for segment in segments {
        let matches = match segment {
            Segment::Rest => return true,
            Segment::One => parts.next().is_some_and(|part| !part.is_empty()),
            Segment::Literal(want) => parts.next() == Some(want),
        };
        if !matches {
            return false;
        }
    }
    parts.next().is_none()
}
