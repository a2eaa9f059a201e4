//! Does a request match?

use hbone::matching::pattern::whole;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderName, Method};
use regex::Regex;

use crate::config::view::RequestView;
use crate::http::head::is_grpc;

/// A host of a route: exact, or `*.` and a suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// The whole host, lower case.
    Exact(String),
    /// Ends so, with a leading dot, and has at least one label before.
    Suffix(String),
}

/// The conditions of a match, all of which must hold.
#[derive(Debug)]
pub struct RouteMatch {
    pub(super) path: PathMatch,
    pub(super) method: Option<Method>,
    pub(super) headers: Vec<(HeaderName, ValueMatch)>,
    pub(super) query: Vec<(String, ValueMatch)>,
    /// Why it cannot be understood; then it never matches.
    pub(super) unreadable: Option<String>,
}

#[derive(Debug)]
pub(super) enum PathMatch {
    Exact(String),
    /// Without final slash; the empty prefix is the root.
    Prefix(String),
    Regex(Regex),
    /// `/service/method` of a gRPC call.
    Grpc {
        service: Option<ValueMatch>,
        method: Option<ValueMatch>,
    },
}

#[derive(Debug)]
pub(super) enum ValueMatch {
    Exact(String),
    Regex(Regex),
}

impl HostPattern {
    pub(super) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => Self::Suffix(suffix.to_owned()),
            Some(_) | None => Self::Exact(text),
        }
    }

    /// Whether `host` (lower case, no port) is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(want) => want == host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl RouteMatch {
    /// Matches everything.
    pub(super) fn any() -> Self {
        Self {
            path: PathMatch::Prefix(String::new()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            unreadable: None,
        }
    }

    pub(super) fn compile(wire: &pb::RouteMatch) -> Self {
        Self::read(wire).unwrap_or_else(|why| Self { unreadable: Some(why), ..Self::any() })
    }

    fn read(wire: &pb::RouteMatch) -> Result<Self, String> {
        if let Some(grpc) = &wire.grpc {
            return Self::read_grpc(wire, grpc);
        }
        let path = wire.path.as_ref().and_then(|path| path.kind.as_ref());
        let method = (!wire.method.is_empty()).then(|| wire.method.parse::<Method>());
        let headers = wire.headers.iter().map(header);
        let query = wire.query.iter().map(|q| Ok((q.name.clone(), ValueMatch::read(q)?)));
        Ok(Self {
            path: path.map_or_else(|| Ok(PathMatch::Prefix(String::new())), PathMatch::read)?,
            method: method.transpose().map_err(|_| format!("{:?} is no method", wire.method))?,
            headers: headers.collect::<Result<_, String>>()?,
            query: query.collect::<Result<_, String>>()?,
            unreadable: None,
        })
    }

    fn read_grpc(wire: &pb::RouteMatch, grpc: &pb::GrpcMatch) -> Result<Self, String> {
        let part = |text: &String| match (text.is_empty(), grpc.regex) {
            (true, _) => Ok(None),
            (false, false) => Ok(Some(ValueMatch::Exact(text.clone()))),
            (false, true) => Ok::<_, String>(Some(ValueMatch::Regex(whole(text)?))),
        };
        Ok(Self {
            path: PathMatch::Grpc { service: part(&grpc.service)?, method: part(&grpc.method)? },
            method: Some(Method::POST),
            headers: wire.headers.iter().map(header).collect::<Result<_, String>>()?,
            query: Vec::new(),
            unreadable: None,
        })
    }

    /// Whether every condition holds.
    pub(super) fn matches(&self, request: &RequestView<'_>) -> bool {
        self.unreadable.is_none()
            && self.path.matches(request)
            && self.method.as_ref().is_none_or(|method| method == request.method)
            && self.headers.iter().all(|(name, want)| header_matches(request, name, want))
            && self.query.iter().all(|(name, want)| {
                request.query_value(name).is_some_and(|value| want.matches(&value))
            })
    }

    /// The part of the path that a prefix rewrite replaces.
    pub(super) fn matched_prefix(&self) -> &str {
        match &self.path {
            PathMatch::Exact(path) | PathMatch::Prefix(path) => path,
            PathMatch::Regex(_) | PathMatch::Grpc { .. } => "",
        }
    }
}

impl PathMatch {
    fn read(wire: &pb::path_match::Kind) -> Result<Self, String> {
        Ok(match wire {
            pb::path_match::Kind::Exact(path) => Self::Exact(path.clone()),
            pb::path_match::Kind::Prefix(path) => {
                Self::Prefix(path.trim_end_matches('/').to_owned())
            }
            pb::path_match::Kind::Regex(text) => Self::Regex(whole(text)?),
        })
    }

    fn matches(&self, request: &RequestView<'_>) -> bool {
        let path = request.path;
        match self {
            Self::Exact(want) => want == path,
            Self::Prefix(want) => path
                .strip_prefix(want.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Regex(regex) => regex.is_match(path),
            Self::Grpc { service, method } => {
                let called = path.strip_prefix('/').and_then(|path| path.split_once('/'));
                is_grpc(request.headers)
                    && called.is_some_and(|(of, name)| {
                        let plain = !of.is_empty() && !name.is_empty() && !name.contains('/');
                        plain
                            && service.as_ref().is_none_or(|want| want.matches(of))
                            && method.as_ref().is_none_or(|want| want.matches(name))
                    })
            }
        }
    }

    /// Rank among the kinds, and lengths: the larger is the more specific.
    pub(super) fn specificity(&self) -> (u8, usize, usize) {
        let length = |part: &Option<ValueMatch>| part.as_ref().map_or(0, ValueMatch::length);
        match self {
            Self::Grpc { service, method } => (3, length(service), length(method)),
            Self::Exact(path) => (2, path.len(), 0),
            Self::Regex(regex) => (1, regex.as_str().len(), 0),
            Self::Prefix(path) => (0, path.len(), 0),
        }
    }
}

impl ValueMatch {
    fn read(wire: &pb::ValueMatch) -> Result<Self, String> {
        Ok(match wire.kind.as_ref() {
            Some(pb::value_match::Kind::Exact(text)) => Self::Exact(text.clone()),
            Some(pb::value_match::Kind::Regex(text)) => Self::Regex(whole(text)?),
            None => return Err(format!("{:?} is compared with nothing", wire.name)),
        })
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(want) => want == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Exact(text) => text.len(),
            Self::Regex(regex) => regex.as_str().len(),
        }
    }
}

fn header(wire: &pb::ValueMatch) -> Result<(HeaderName, ValueMatch), String> {
    let name = HeaderName::try_from(&wire.name);
    let name = name.map_err(|_| format!("{:?} is no header name", wire.name))?;
    Ok((name, ValueMatch::read(wire)?))
}

/// Several fields of a name are one list (RFC 9110 section 5.3). A value that is not text
/// matches nothing.
fn header_matches(request: &RequestView<'_>, name: &HeaderName, want: &ValueMatch) -> bool {
    let mut values = request.headers.get_all(name).iter().map(|value| value.to_str().ok());
    let Some(first) = values.next() else { return false };
    let Some(mut joined) = first.map(str::to_owned) else { return false };
    for value in values {
        let Some(value) = value else { return false };
        joined.push_str(", ");
        joined.push_str(value);
    }
    want.matches(&joined)
}

#[cfg(test)]
mod tests;
