//! Answers of the waypoint itself.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};

use super::body::{self, Body};
use crate::failure::Failure;

/// RFC 9209.
pub const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// An answer of the waypoint itself.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, without `Proxy-Status`.
    pub headers: HeaderMap,
    /// Its body.
    pub body: bytes::Bytes,
    /// Why, unless it is an ordinary answer such as a redirect.
    pub failure: Option<Failure>,
}

impl Reply {
    /// The answer to a failure.
    pub fn failure(failure: Failure) -> Self {
        let mut headers = HeaderMap::new();
        let body = match &failure {
            // Its own answer is all that a client gets to see.
            Failure::AuthorizerDenied { .. } | Failure::AuthorizerFailed { .. } => String::new(),
            failure => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                format!("{}\n", failure.for_client())
            }
        };
        if let Some(Ok(challenge)) = failure.challenge().map(HeaderValue::try_from) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        Self { status: failure.status(), headers, body: body.into(), failure: Some(failure) }
    }

    /// The response, in the form of gRPC for a gRPC client (trailers only). `proxy` is the
    /// name of this waypoint.
    pub fn into_response(self, proxy: &str, grpc: bool) -> Response<Body> {
        let status = proxy_status(proxy, self.failure.as_ref());
        let mut response = Response::new(body::empty());
        *response.headers_mut() = self.headers;
        if grpc && !self.status.is_redirection() {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(grpc_status(self.status)));
            let text = self.failure.as_ref().map(Failure::for_client).unwrap_or_default();
            if let Ok(text) = HeaderValue::try_from(percent(&text)) {
                headers.insert("grpc-message", text);
            }
        } else {
            *response.status_mut() = self.status;
            *response.body_mut() = body::full(self.body);
        }
        response.headers_mut().insert(PROXY_STATUS, status);
        response
    }
}

/// `Proxy-Status`: who answered, why, at which hop.
pub fn proxy_status(proxy: &str, failure: Option<&Failure>) -> HeaderValue {
    let text = match failure {
        None => format!("{proxy}; details=\"answered by a route\""),
        Some(failure) => {
            let next =
                failure.next_hop().map(|hop| format!("; next-hop=\"{hop}\"")).unwrap_or_default();
            let (error, details) = (failure.proxy_status_error(), failure.for_client());
            let details: String = details.chars().filter(|c| (' '..='~').contains(c)).collect();
            let details = details.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{proxy}; error={error}{next}; hop={}; details=\"{details}\"", failure.hop())
        }
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("ambit"))
}

/// gRPC's reading of an HTTP status.
pub fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Percent-encoding of a gRPC message (gRPC over HTTP/2, "Responses").
fn percent(text: &str) -> String {
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'%';
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
