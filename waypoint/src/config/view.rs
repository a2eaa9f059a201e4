//! What routes and policies see of a request.

use http::{HeaderMap, Method};

/// The head of a request after canonicalisation; pure decisions take only this.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// Host, lower case, without port.
    pub host: &'a str,
    /// Port of the authority, if it names one.
    pub host_port: Option<u16>,
    /// The canonical path, without query.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

impl RequestView<'_> {
    /// The first value of query parameter `name`, decoded; none if absent or not UTF-8.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        self.query?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(key)? == name).then(|| form_decode(value)).flatten()
        })
    }
}

/// Decodes `+` and percent escapes of a form field.
pub(crate) fn form_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut hex = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                u8::try_from(hex()? << 4 | hex()?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(out).ok()
}
