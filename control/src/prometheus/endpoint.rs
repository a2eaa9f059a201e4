//! Where a Prometheus is.

use http::Uri;
use http::uri::Scheme;

/// The base of its API: scheme, host and port, and a path before `/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    /// Reads an URL.
    ///
    /// # Errors
    /// What it is, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let short: String = text.chars().take(200).collect();
            format!("{short:?} {why}; write such as http://prometheus.monitoring:9090")
        };
        let uri: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong("is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user name: write a token into a file"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(wrong("has more than a path"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if https { 443 } else { 80 }),
            _ => authority.port_u16().filter(|port| *port > 0),
        };
        let port = port.ok_or_else(|| wrong("has a port that is none"))?;
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { https, host, port, path })
    }

    /// Whether TLS protects it.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host; an address of IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The field `Host`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// The path of one of its functions, such as `query_range`.
    pub fn path(&self, function: &str) -> String {
        format!("{}/api/v1/{function}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_is_read_or_refused_with_what_would_be_right() {
        for (text, authority, path) in [
            ("http://prometheus:9090", "prometheus:9090", "/api/v1/query"),
            ("http://prometheus:9090/", "prometheus:9090", "/api/v1/query"),
            ("https://metrics.example/mimir/", "metrics.example:443", "/mimir/api/v1/query"),
            ("http://[fd00::1]:9090", "[fd00::1]:9090", "/api/v1/query"),
            ("http://127.0.0.1", "127.0.0.1:80", "/api/v1/query"),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(
                (endpoint.authority().as_str(), endpoint.path("query").as_str()),
                (authority, path)
            );
        }
        for (text, why) in [
            ("prometheus:9090", "neither http"),
            ("ftp://prometheus", "neither http"),
            ("http://", "no URL"),
            ("http://user:secret@prometheus", "user name"),
            ("http://prometheus?x=1", "more than a path"),
            ("http://prometheus:0", "port"),
            ("http://prometheus:99999", "port"),
            ("http://pro metheus", "no URL"),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(error.contains(why) && error.contains("write such as"), "{text}: {error}");
        }
    }
}
