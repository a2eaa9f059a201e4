//! Filters of a rule: what to change on the way, or to answer at once.

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The filters of a rule or backend, compiled.
#[derive(Debug, Default)]
pub struct Filters {
    /// Changes of the request's header.
    pub request: HeaderEdits,
    /// Changes of the answer's header.
    pub response: HeaderEdits,
    /// Answer with a redirect.
    pub redirect: Option<Redirect>,
    /// Change host or path.
    pub rewrite: Option<Rewrite>,
    /// Why the rule cannot be honoured; it is answered 500, as the Gateway API asks.
    pub unsupported: Option<String>,
}

/// Changes of a header, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits(pub Vec<HeaderEdit>);

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replaces every value of the name.
    Set(HeaderName, HeaderValue),
    /// Sets the value where the name is absent.
    SetIfAbsent(HeaderName, HeaderValue),
    /// Replaces the values of a name that is there.
    SetIfPresent(HeaderName, HeaderValue),
    /// Adds a field.
    Add(HeaderName, HeaderValue),
    /// Removes every field of the name.
    Remove(HeaderName),
}

/// A redirect (Gateway API, HTTPRequestRedirectFilter).
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `http` or `https`; none keeps it.
    pub scheme: Option<String>,
    /// None keeps it.
    pub hostname: Option<String>,
    /// None keeps it.
    pub path: Option<PathChange>,
    /// None: the port of the scheme, if one is named, else the request's.
    pub port: Option<u16>,
    /// Default 302.
    pub status: StatusCode,
}

/// A rewrite (Gateway API, HTTPURLRewriteFilter).
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// None keeps it.
    pub hostname: Option<HeaderValue>,
    /// None keeps it.
    pub path: Option<PathChange>,
}

/// A change of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// The whole path.
    Full(String),
    /// The part that the rule's prefix matched.
    Prefix(String),
}

impl Filters {
    pub(super) fn compile(wire: &[pb::Filter]) -> Self {
        let mut filters = Self::default();
        for filter in wire {
            if let Err(why) = filters.add(filter) {
                filters.unsupported.get_or_insert(why);
            }
        }
        filters
    }

    fn add(&mut self, wire: &pb::Filter) -> Result<(), String> {
        use pb::filter::Kind;
        match wire.kind.as_ref().ok_or("a filter of a kind that this version does not know")? {
            Kind::RequestHeaders(change) => {
                self.request.extend(change)?;
                if self.request.names(&http::header::HOST) {
                    return Err("header host is changed by a URLRewrite filter's hostname".into());
                }
            }
            Kind::ResponseHeaders(change) => self.response.extend(change)?,
            Kind::Redirect(redirect) => self.redirect = Some(Redirect::compile(redirect)?),
            Kind::Rewrite(rewrite) => self.rewrite = Some(Rewrite::compile(rewrite)?),
            Kind::Unsupported(why) => return Err(why.clone()),
        }
        Ok(())
    }
}

impl HeaderEdits {
    fn extend(&mut self, wire: &pb::HeaderChange) -> Result<(), String> {
        for header in &wire.set {
            let (name, value) = field(header)?;
            self.0.push(HeaderEdit::Set(name, value));
        }
        for header in &wire.add {
            let (name, value) = field(header)?;
            self.0.push(HeaderEdit::Add(name, value));
        }
        for name in &wire.remove {
            self.0.push(HeaderEdit::Remove(header_name(name)?));
        }
        Ok(())
    }

    /// Whether one of them is of `name`.
    fn names(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|edit| match edit {
            HeaderEdit::Set(of, _)
            | HeaderEdit::SetIfAbsent(of, _)
            | HeaderEdit::SetIfPresent(of, _)
            | HeaderEdit::Add(of, _)
            | HeaderEdit::Remove(of) => of == name,
        })
    }

    /// Applies the changes in order.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for edit in &self.0 {
            edit.apply(headers);
        }
    }
}

impl HeaderEdit {
    /// Applies this change.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value.clone())),
            Self::SetIfAbsent(name, value) => {
                headers.entry(name).or_insert_with(|| value.clone());
            }
            Self::SetIfPresent(name, value) => {
                if headers.contains_key(name) {
                    headers.insert(name, value.clone());
                }
            }
            Self::Add(name, value) => drop(headers.append(name, value.clone())),
            Self::Remove(name) => while headers.remove(name).is_some() {},
        }
    }
}

impl Redirect {
    fn compile(wire: &pb::Redirect) -> Result<Self, String> {
        let text = |s: &String| (!s.is_empty()).then(|| s.clone());
        let status = if wire.status == 0 { 302 } else { wire.status };
        let status = u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.filter(StatusCode::is_redirection);
        Ok(Self {
            scheme: text(&wire.scheme),
            hostname: text(&wire.hostname),
            path: wire.path.as_ref().and_then(PathChange::compile),
            port: u16::try_from(wire.port).ok().filter(|p| *p != 0),
            status: status.ok_or_else(|| format!("status {} is no redirect", wire.status))?,
        })
    }
}

impl Rewrite {
    fn compile(wire: &pb::Rewrite) -> Result<Self, String> {
        let host = (!wire.hostname.is_empty()).then(|| HeaderValue::try_from(&wire.hostname));
        let hostname = host.transpose().map_err(|_| format!("{:?} is no host", wire.hostname))?;
        Ok(Self { hostname, path: wire.path.as_ref().and_then(PathChange::compile) })
    }
}

impl PathChange {
    fn compile(wire: &pb::PathChange) -> Option<Self> {
        Some(match wire.kind.clone()? {
            pb::path_change::Kind::Full(path) => Self::Full(path),
            pb::path_change::Kind::Prefix(prefix) => Self::Prefix(prefix),
        })
    }

    /// The new path of `path`, of which the rule matched `matched`.
    pub fn apply(&self, path: &str, matched: &str) -> String {
        match self {
            Self::Full(full) => full.clone(),
            Self::Prefix(prefix) => {
                let rest = path.strip_prefix(matched.trim_end_matches('/')).unwrap_or(path);
                let joined =
                    format!("{}/{}", prefix.trim_end_matches('/'), rest.trim_start_matches('/'));
                let bare = rest.is_empty() && joined.len() > 1 && !prefix.ends_with('/');
                if bare { joined.trim_end_matches('/').to_owned() } else { joined }
            }
        }
    }
}

fn field(header: &pb::Header) -> Result<(HeaderName, HeaderValue), String> {
    let value = HeaderValue::try_from(&header.value);
    let value = value.map_err(|_| format!("the value of header {:?} is not valid", header.name))?;
    Ok((header_name(&header.name)?, value))
}

/// A name that a route may change: not one that frames messages or belongs to a connection.
fn header_name(name: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header name"))?;
    if crate::http::headers::is_hop_by_hop(&name) || name == http::header::CONTENT_LENGTH {
        return Err(format!("header {name} belongs to the connection and cannot be changed"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
