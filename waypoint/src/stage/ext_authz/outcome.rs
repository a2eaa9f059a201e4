//! What a provider decided, and what follows from it.

use std::sync::Arc;

use hbone::wire::pb::envoy::config::core::v3::HeaderValueOption;
use hbone::wire::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction as Append;
use hbone::wire::pb::envoy::service::auth::v3::check_response::HttpResponse;
use hbone::wire::pb::envoy::service::auth::v3::{
    CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::config::provider::ProviderCall;
use crate::config::route::HeaderEdit;
use crate::failure::Failure;
use crate::http::head::{Head, split_host};
use crate::http::headers::{is_hop_by_hop, is_identity};
use crate::http::reply::Reply;
use crate::path;
use crate::pipeline::{Exchange, Flow};

/// What a provider decided.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It allows, with changes.
    Ok(Box<OkHttpResponse>),
    /// It refuses.
    Denied(Box<DeniedHttpResponse>),
    /// It did not decide.
    Error { reason: String, answer: Option<Box<DeniedHttpResponse>> },
}

impl Outcome {
    /// A missing status allows; the status decides and not the kind of answer.
    pub(super) fn read(response: CheckResponse) -> Self {
        let status = response.status.unwrap_or_default();
        match (status.code, response.http_response) {
            (0, Some(HttpResponse::OkResponse(ok))) => Self::Ok(Box::new(ok)),
            (0, _) => Self::Ok(Box::default()),
            (code, Some(HttpResponse::ErrorResponse(answer))) => Self::Error {
                reason: format!("the provider reports error {code}: {}", status.message),
                answer: Some(Box::new(answer)),
            },
            (_, Some(HttpResponse::DeniedResponse(denied))) => Self::Denied(Box::new(denied)),
            (_, Some(HttpResponse::OkResponse(_)) | None) => Self::Denied(Box::default()),
        }
    }

    /// For the audit line.
    pub(super) fn decision(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Ok(_) => ("ok", None),
            Self::Denied(_) => ("denied", None),
            Self::Error { reason, .. } => ("error", Some(reason)),
        }
    }
}

/// Applies `outcome` to the exchange.
pub(super) fn apply(
    outcome: &Outcome,
    exchange: &mut Exchange,
    provider: &Arc<str>,
    call: &ProviderCall,
) -> Flow {
    let invalid =
        |reason: String| Failure::AuthorizerInvalid { provider: Arc::clone(provider), reason };
    let applied = match outcome {
        Outcome::Ok(ok) => changed(ok, &exchange.head).map(|(head, edits)| {
            exchange.head = Arc::new(head);
            exchange.response_edits.0.extend(edits);
            Flow::Continue
        }),
        Outcome::Error { .. } if call.fail_open => Ok(Flow::Continue),
        Outcome::Denied(denied) => {
            let status = status(denied, StatusCode::FORBIDDEN);
            status.and_then(|status| {
                let failure = Failure::AuthorizerDenied { provider: Arc::clone(provider), status };
                answer(denied, status, failure)
            })
        }
        Outcome::Error { reason, answer: Some(given) } => {
            let status = status(given, call.status_on_error);
            status.and_then(|status| answer(given, status, failed(provider, status, reason)))
        }
        Outcome::Error { reason, answer: None } => {
            Ok(failed(provider, call.status_on_error, reason).into())
        }
    };
    applied.unwrap_or_else(|reason| invalid(reason).into())
}

fn failed(provider: &Arc<str>, status: StatusCode, reason: &str) -> Failure {
    Failure::AuthorizerFailed { provider: Arc::clone(provider), status, reason: reason.to_owned() }
}

fn status(denied: &DeniedHttpResponse, default: StatusCode) -> Result<StatusCode, String> {
    let code = denied.status.as_ref().map_or(0, |status| status.code);
    if code == 0 {
        return Ok(default);
    }
    let known = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    known.filter(|s| !s.is_informational()).ok_or_else(|| format!("status {code} is no answer"))
}

/// The provider's answer to the client: its headers replace local ones, repeats are kept.
fn answer(
    denied: &DeniedHttpResponse,
    status: StatusCode,
    failure: Failure,
) -> Result<Flow, String> {
    let mut headers = HeaderMap::new();
    for option in &denied.headers {
        let Some((name, value)) = field(option)? else { continue };
        headers.try_append(name, value).map_err(|_| "too many headers".to_owned())?;
    }
    let body = denied.body.clone().into();
    Ok(Flow::Reply(Box::new(Reply { status, headers, body, failure: Some(failure) })))
}

/// The head of an allowed request after its changes, in the contract's order, and the changes
/// of its answer. All or none: a change that cannot be applied refuses the request.
fn changed(ok: &OkHttpResponse, head: &Head) -> Result<(Head, Vec<HeaderEdit>), String> {
    let mut head = head.clone();
    for option in &ok.headers {
        set_request(&mut head, option)?;
    }
    for name in &ok.headers_to_remove {
        remove(&mut head, name);
    }
    if !(ok.query_parameters_to_set.is_empty() && ok.query_parameters_to_remove.is_empty()) {
        let set = ok.query_parameters_to_set.iter().map(|p| (p.key.as_str(), p.value.as_str()));
        head.query = query(head.query.as_deref(), set, &ok.query_parameters_to_remove);
    }
    let edits: Vec<HeaderEdit> = ok
        .response_headers_to_add
        .iter()
        .map(edit_response)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect();
    let bytes: usize = head.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 32).sum();
    if bytes > crate::http::MAX_HEADER_BYTES || head.headers.len() > crate::http::MAX_HEADER_COUNT {
        return Err("the headers exceed the limit".to_owned());
    }
    Ok((head, edits))
}

/// Name and value; none for a field of the connection or of identity, which is dropped.
fn field(option: &HeaderValueOption) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let header = option.header.as_ref().ok_or("a header without name")?;
    let name = HeaderName::try_from(&header.key)
        .map_err(|_| format!("{:?} is no header name", header.key))?;
    let value = HeaderValue::try_from(&header.value);
    let value = value.map_err(|_| format!("the value of header {name} is not valid"))?;
    let dropped =
        is_hop_by_hop(&name) || is_identity(&name) || name == http::header::CONTENT_LENGTH;
    Ok((!dropped).then_some((name, value)))
}

/// How a field joins what is there.
fn append(option: &HeaderValueOption) -> Result<Option<Append>, String> {
    let unknown = || format!("append_action {} is not known", option.append_action);
    let action = Append::try_from(option.append_action).map_err(|_| unknown())?;
    Ok(match (option.append, action) {
        (Some(false), _) => Some(Append::OverwriteIfExistsOrAdd),
        (Some(true), _) => Some(Append::AppendIfExistsOrAdd),
        // Most providers set neither.
        (None, Append::AppendIfExistsOrAdd) => None,
        (None, action) => Some(action),
    })
}

fn set_request(head: &mut Head, option: &HeaderValueOption) -> Result<(), String> {
    let header = option.header.as_ref().ok_or("a header without name")?;
    if let Some(pseudo) = header.key.strip_prefix(':') {
        return set_pseudo(head, pseudo, &header.value);
    }
    if header.key.eq_ignore_ascii_case("host") {
        return set_pseudo(head, "authority", &header.value);
    }
    let Some((name, value)) = field(option)? else { return Ok(()) };
    let edit = match append(option)? {
        // Unset: overwrite, so that a client cannot smuggle what the provider states.
        None | Some(Append::OverwriteIfExistsOrAdd) => HeaderEdit::Set(name, value),
        Some(Append::AddIfAbsent) => HeaderEdit::SetIfAbsent(name, value),
        Some(Append::OverwriteIfExists) => HeaderEdit::SetIfPresent(name, value),
        Some(Append::AppendIfExistsOrAdd) => {
            HeaderEdit::Set(name.clone(), joined(head, &name, &value)?)
        }
    };
    edit.apply(&mut head.headers);
    Ok(())
}

fn joined(head: &Head, name: &HeaderName, value: &HeaderValue) -> Result<HeaderValue, String> {
    let all = head.headers.get_all(name).iter().chain(std::iter::once(value));
    let joined: Vec<&[u8]> = all.map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&joined.join(&b","[..])).map_err(|e| e.to_string())
}

/// Path, authority and method may change, in their one form; nothing else of the kind.
fn set_pseudo(head: &mut Head, name: &str, value: &str) -> Result<(), String> {
    match name {
        "path" => {
            let (path, query) = value.split_once('?').map_or((value, None), |(p, q)| (p, Some(q)));
            head.path = path::canonical(path).map_err(|e| format!(":path {value:?}: {e}"))?;
            if let Some(query) = query {
                path::check_query(query).map_err(|e| format!(":path {value:?}: {e}"))?;
            }
            head.query = query.map(str::to_owned);
        }
        "authority" => {
            (head.host, head.port) =
                split_host(value).map_err(|e| format!(":authority {value:?}: {e}"))?;
        }
        "method" => {
            let method: Method =
                value.parse().map_err(|_| format!(":method {value:?} is no method"))?;
            if method == Method::CONNECT {
                return Err(":method cannot be CONNECT".to_owned());
            }
            head.method = method;
        }
        other => return Err(format!(":{other} cannot be set")),
    }
    Ok(())
}

fn remove(head: &mut Head, name: &str) {
    if let Ok(name) = HeaderName::try_from(name)
        && name != http::header::HOST
        && name != http::header::CONTENT_LENGTH
    {
        HeaderEdit::Remove(name).apply(&mut head.headers);
    }
}

fn edit_response(option: &HeaderValueOption) -> Result<Option<HeaderEdit>, String> {
    let Some((name, value)) = field(option)? else { return Ok(None) };
    Ok(Some(match append(option)? {
        None | Some(Append::AppendIfExistsOrAdd) => HeaderEdit::Add(name, value),
        Some(Append::AddIfAbsent) => HeaderEdit::SetIfAbsent(name, value),
        Some(Append::OverwriteIfExistsOrAdd) => HeaderEdit::Set(name, value),
        Some(Append::OverwriteIfExists) => HeaderEdit::SetIfPresent(name, value),
    }))
}

/// Replaces all values of the set keys, then removes keys.
fn query<'a>(
    old: Option<&str>,
    set: impl Iterator<Item = (&'a str, &'a str)>,
    removed: &[String],
) -> Option<String> {
    let set: Vec<_> = set.map(|(key, value)| (encode(key), encode(value))).collect();
    let gone: Vec<_> = removed.iter().map(|key| encode(key)).collect();
    let key = |pair: &str| pair.split('=').next().map(canonical_key).unwrap_or_default();
    let old = old.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let kept = old.filter(|pair| !set.iter().any(|(k, _)| *k == key(pair))).map(str::to_owned);
    let all = kept.chain(set.iter().map(|(k, v)| format!("{k}={v}")));
    let all: Vec<_> = all.filter(|pair| !gone.contains(&key(pair))).collect();
    (!all.is_empty()).then(|| all.join("&"))
}

/// A key of the request in the encoding of [`encode`].
fn canonical_key(key: &str) -> String {
    crate::config::view::form_decode(key).map_or_else(|| key.to_owned(), |key| encode(&key))
}

/// Percent-encodes all but unreserved characters (RFC 3986 section 2.3).
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
