//! What in a match cannot be understood; such a match never holds.

use hbone::matching::pattern::whole;

use crate::api::gateway::{GrpcMatch, GrpcMethodMatch, HttpMatch, PathMatch, ValueMatch};

const EXACT: &str = "Exact";
const REGEX: &str = "RegularExpression";

/// The first problem of a match of an HTTPRoute: field and what would be right.
pub(super) fn http(matching: &HttpMatch) -> Option<String> {
    let path = matching.path.as_ref().and_then(path);
    path.or_else(|| values("headers", &matching.headers))
        .or_else(|| values("queryParams", &matching.query_params))
}

/// The same of a GRPCRoute.
pub(super) fn grpc(matching: &GrpcMatch) -> Option<String> {
    let method = matching.method.as_ref().and_then(method);
    method.or_else(|| values("headers", &matching.headers))
}

fn path(path: &PathMatch) -> Option<String> {
    let value = path.value.as_deref().unwrap_or("/");
    match path.kind.as_deref().unwrap_or("PathPrefix") {
        EXACT | "PathPrefix" => None,
        REGEX => regex("path.value", value),
        other => Some(format!("path.type is {other:?}; write {EXACT}, PathPrefix or {REGEX}")),
    }
}

fn values(field: &str, values: &[ValueMatch]) -> Option<String> {
    values.iter().enumerate().find_map(|(v, value)| match value.kind.as_deref().unwrap_or(EXACT) {
        EXACT => None,
        REGEX => regex(&format!("{field}[{v}].value"), &value.value),
        other => Some(format!("{field}[{v}].type is {other:?}; write {EXACT} or {REGEX}")),
    })
}

fn method(method: &GrpcMethodMatch) -> Option<String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (service, name) = (given(&method.service), given(&method.method));
    if service.is_none() && name.is_none() {
        return Some("method names neither service nor method; write one or both".to_owned());
    }
    match method.kind.as_deref().unwrap_or(EXACT) {
        EXACT => None,
        REGEX => [("method.service", service), ("method.method", name)]
            .into_iter()
            .find_map(|(field, text)| regex(field, &text?)),
        other => Some(format!("method.type is {other:?}; write {EXACT} or {REGEX}")),
    }
}

fn regex(field: &str, text: &str) -> Option<String> {
    whole(text).err().map(|why| format!("{field} is none that can be compared: {why}"))
}
