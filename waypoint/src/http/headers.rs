//! Fields that never pass from one hop to the next.

use http::header::{self, HeaderMap, HeaderName};

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field belongs to one connection (RFC 9110 section 7.6.1).
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// Whether a field says who the caller is or was set by a proxy: taken from nobody.
pub fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "x-forwarded-client-cert" | "x-istio-source" | "x-forwarded-network")
        || name.starts_with("x-envoy-")
}

/// Removes the fields of the connection, those that `Connection` names among them.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in named {
        remove(headers, &name);
    }
    for name in HOP_BY_HOP {
        remove(headers, &HeaderName::from_static(name));
    }
}

/// Removes what only a proxy may say of the caller.
pub fn strip_identity(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in named {
        remove(headers, &name);
    }
}

fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
}

/// Whether a comma-separated field has `token`, ignoring case.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
