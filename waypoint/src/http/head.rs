//! From a request to its one meaning, or to the reason why it has none.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

use super::headers;
use super::{MAX_HEADER_BYTES, MAX_HEADER_COUNT};
use crate::config::view::RequestView;
use crate::failure::Failure;
use crate::path;

/// The request id that is made if the client sent none.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The head of a request: policies decide on it, and it is what is forwarded.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Canonical, without query.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// Lower case, without port.
    pub host: String,
    /// The port of the authority, if it names one.
    pub port: Option<u16>,
    /// Without fields of the connection, and without `host`.
    pub headers: HeaderMap,
    /// What the client speaks.
    pub version: Version,
    /// The protocol of an HTTP/1.1 upgrade.
    pub upgrade: Option<HeaderValue>,
}

impl Head {
    /// Reads a request head; fields of the connection and of identity are gone afterwards.
    pub fn read(parts: &mut Parts, has_body: bool) -> Result<Self, Failure> {
        check_size(&parts.headers)?;
        if parts.method == Method::CONNECT {
            return Err(Failure::Malformed("CONNECT is not served inside a tunnel"));
        }
        let announced = content_length(&parts.headers)?;
        if !has_body && announced.is_some_and(|length| length > 0) {
            return Err(Failure::Malformed("the request announces a body and ends without it"));
        }
        let (host, port) = authority(parts)?;
        let path = path::canonical(parts.uri.path())?;
        let query = parts.uri.query().map(str::to_owned);
        if let Some(query) = &query {
            path::check_query(query)?;
        }
        let mut headers = std::mem::take(&mut parts.headers);
        let upgrade = upgrade(&headers, parts.version);
        let trailers = headers::has_token(&headers, &header::TE, "trailers");
        headers::strip_hop_by_hop(&mut headers);
        headers::strip_identity(&mut headers);
        headers.remove(header::HOST);
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let (method, version) = (parts.method.clone(), parts.version);
        Ok(Self { method, path, query, host, port, headers, version, upgrade })
    }

    /// What routes and policies see.
    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            method: &self.method,
            host: &self.host,
            host_port: self.port,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    /// `host` or `host:port`.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Path and query.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether the client speaks gRPC, and gets errors as gRPC statuses.
    pub fn is_grpc(&self) -> bool {
        is_grpc(&self.headers)
    }
}

/// Whether the content is gRPC's (gRPC over HTTP/2, "Requests").
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Counts fields and bytes; also for HTTP/2, where the guard does not look.
fn check_size(headers: &HeaderMap) -> Result<(), Failure> {
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    if headers.len() > MAX_HEADER_COUNT || bytes > MAX_HEADER_BYTES {
        return Err(Failure::HeaderTooLarge);
    }
    Ok(())
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    match (text.and_then(|text| text.parse().ok()), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Failure::Malformed("content-length is not one number")),
    }
}

/// The one host: request target and `host` must agree (RFC 9112 section 3.2).
fn authority(parts: &Parts) -> Result<(String, Option<u16>), Failure> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::Malformed("more than one host"));
    }
    let header = header.map(|value| value.to_str().map_err(|_| NO_HOST)).transpose()?;
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    match (target, header) {
        (Some(target), Some(header)) => {
            let one = split_host(target)?;
            if one == split_host(header)? { Ok(one) } else { Err(Failure::Malformed(DIFFERENT)) }
        }
        (Some(one), None) | (None, Some(one)) => split_host(one),
        (None, None) => Err(NO_HOST),
    }
}

const NO_HOST: Failure = Failure::Malformed("the host is missing or cannot be read");
const DIFFERENT: &str = "the request target and the host header name different hosts";

/// Splits `host[:port]`; the host in lower case without final dot.
pub(crate) fn split_host(text: &str) -> Result<(String, Option<u16>), Failure> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, rest)) => {
            ip.parse::<std::net::Ipv6Addr>().map_err(|_| NO_HOST)?;
            let port =
                if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(NO_HOST)?) };
            (format!("[{ip}]"), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
            let host = host.strip_suffix('.').unwrap_or(host);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
                return Err(NO_HOST);
            }
            (host.to_owned(), port)
        }
    };
    let digits = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    let port = port.map(|p| Some(p).filter(digits).and_then(|p| p.parse().ok()).ok_or(NO_HOST));
    Ok((host.to_ascii_lowercase(), port.transpose()?))
}

/// An upgrade that is passed on; `h2c` is not, since HTTP/2 needs none (RFC 9113 section 3.1).
fn upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || !headers::has_token(headers, &header::CONNECTION, "upgrade") {
        return None;
    }
    let value = headers.get(header::UPGRADE)?;
    (!headers::has_token(headers, &header::UPGRADE, "h2c")).then(|| value.clone())
}

#[cfg(test)]
mod tests;
