//! Filters of an HTTPRoute.

use hbone::wire::pb::ambit::waypoint::v1 as pb;

use crate::api::gateway::{HeaderModifier, HttpFilter, NameValue, PathModifier, Redirect, Rewrite};

/// A filter; what is not served is sent as such, and its rule answers 500.
pub(super) fn filter(filter: &HttpFilter) -> pb::Filter {
    use pb::filter::Kind;
    let kind = match filter.kind.as_str() {
        "RequestHeaderModifier" => {
            filter.request_header_modifier.as_ref().map(|m| Kind::RequestHeaders(change(m)))
        }
        "ResponseHeaderModifier" => {
            filter.response_header_modifier.as_ref().map(|m| Kind::ResponseHeaders(change(m)))
        }
        "RequestRedirect" => filter.request_redirect.as_ref().map(|r| Kind::Redirect(redirect(r))),
        "URLRewrite" => filter.url_rewrite.as_ref().map(|r| Kind::Rewrite(rewrite(r))),
        other => return unsupported(format!("filter {other:?} is not served")),
    };
    match kind {
        Some(kind) => pb::Filter { kind: Some(kind) },
        None => unsupported(format!("filter {:?} has no settings", filter.kind)),
    }
}

/// A filter that is not served, and why.
pub(super) fn unsupported(why: String) -> pb::Filter {
    pb::Filter { kind: Some(pb::filter::Kind::Unsupported(why)) }
}

fn change(modifier: &HeaderModifier) -> pb::HeaderChange {
    let header = |h: &NameValue| pb::Header { name: h.name.clone(), value: h.value.clone() };
    pb::HeaderChange {
        set: modifier.set.iter().map(header).collect(),
        add: modifier.add.iter().map(header).collect(),
        remove: modifier.remove.clone(),
    }
}

fn redirect(redirect: &Redirect) -> pb::Redirect {
    pb::Redirect {
        scheme: redirect.scheme.clone().unwrap_or_default(),
        hostname: redirect.hostname.clone().unwrap_or_default(),
        path: redirect.path.as_ref().map(path),
        port: u32::from(redirect.port.unwrap_or(0)),
        status: u32::from(redirect.status_code.unwrap_or(0)),
    }
}

fn rewrite(rewrite: &Rewrite) -> pb::Rewrite {
    pb::Rewrite {
        hostname: rewrite.hostname.clone().unwrap_or_default(),
        path: rewrite.path.as_ref().map(path),
    }
}

fn path(path: &PathModifier) -> pb::PathChange {
    use pb::path_change::Kind;
    let kind = match path.kind.as_str() {
        "ReplaceFullPath" => path.replace_full_path.clone().map(Kind::Full),
        "ReplacePrefixMatch" => path.replace_prefix_match.clone().map(Kind::Prefix),
        _ => None,
    };
    pb::PathChange { kind }
}

#[cfg(test)]
mod tests;
