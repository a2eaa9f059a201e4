//! The pages and the API that they ask, for whoever serves them.
//!
//! Whoever serves them decides who may ask: here everything is read only.

use hbone::serve::{Answer, Asked, Pages, Reply};
use http::{Method, StatusCode, header};

use crate::http::Api;

/// Where the pages are.
const PREFIX: &str = "/ui/";
/// What a page may load: what is served here, and nothing from anywhere else. Charts set styles by
/// script, which needs no permission; `data:` are the icons of the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the pages.
struct File {
    name: &'static str,
    compressed: bool,
    bytes: &'static [u8],
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Pages and API.
pub struct Website {
    api: Api,
}

impl Website {
    /// A site over an API.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Whether a path is one of ours.
    pub fn has(path: &str) -> bool {
        Api::has(path) || path.starts_with(PREFIX) || path == "/ui" || path == "/"
    }

    fn file(asked: &Asked) -> Reply {
        if !matches!(asked.method, Method::GET | Method::HEAD) {
            return Reply::method_not_allowed();
        }
        let Some(name) = asked.uri.path().strip_prefix(PREFIX) else {
            return Reply::text(StatusCode::FOUND, "").with(header::LOCATION, PREFIX);
        };
        let name = if name.is_empty() { "index.html" } else { name };
        let Some(file) = FILES.iter().find(|file| file.name == name) else {
            return missing(name);
        };
        let reply = Reply::new(StatusCode::OK, media_type(name), file.bytes)
            .with(header::CONTENT_SECURITY_POLICY, POLICY)
            .with(header::REFERRER_POLICY, "no-referrer")
            .with(header::CACHE_CONTROL, "no-cache");
        // Every browser takes it; whoever does not can ask the API.
        if file.compressed { reply.with(header::CONTENT_ENCODING, "gzip") } else { reply }
    }
}

fn missing(name: &str) -> Reply {
    if FILES.is_empty() && name == "index.html" {
        let text = "This program was built without the pages: build them with `./dev web`, then \
                    build it again. The API is here: /api/v1/about\n";
        return Reply::text(StatusCode::NOT_FOUND, text);
    }
    Reply::not_found()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

impl Pages for Website {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        if Api::has(asked.uri.path()) {
            return self.api.answer(asked);
        }
        Box::pin(std::future::ready(Self::file(asked)))
    }
}
