//! Where a key set is.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

/// Longest URL, bytes.
const MAX_URL: usize = 2_048;

/// An `http` or `https` URL of a key set. Displays as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySetUrl {
    text: String,
    host: String,
    port: u16,
    path: String,
    https: bool,
}

impl KeySetUrl {
    /// Reads an URL.
    ///
    /// # Errors
    /// What it is, and what would be right.
    pub fn new(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let short: String = text.chars().take(200).collect();
            Err(format!("is {short:?}, {why}; write such as https://issuer.example/keys"))
        };
        if text.len() > MAX_URL {
            return wrong("which is longer than MAX_URL (2048) bytes");
        }
        let Ok(uri) = text.parse::<Uri>() else { return wrong("which is no URL") };
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return wrong("which is neither https nor http"),
        };
        let Some(authority) = uri.authority() else { return wrong("which has no host") };
        if authority.as_str().contains('@') {
            return wrong("which has a user name");
        }
        if text.contains('#') {
            return wrong("which has a fragment");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if https {
                    443
                } else {
                    80
                }
            }
            _ => match authority.port_u16() {
                Some(port) if port > 0 => port,
                _ => return wrong("whose port is none"),
            },
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if host.is_empty() {
            return wrong("which has no host");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { text: text.to_owned(), host, port, path, https })
    }

    /// The host, lower case; an address of IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is asked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether TLS protects it.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The field `Host`.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
