//! The pages of the administrator, on the loopback address only.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::{Answer, Asked, Pages, Reply};
use crate::telemetry::Logging;
use crate::telemetry::log::Levels;

/// How long `/quitquitquit` waits for the end before it answers.
const QUIT_TIMEOUT: Duration = Duration::from_secs(30);

type Dump = Box<dyn Fn() -> serde_json::Value + Send + Sync>;
type Drained = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// `/`, `/config_dump`, `/logging` and `/quitquitquit`.
///
/// Every request must name this machine in `Host`: a page of the web that had its name
/// resolve to 127.0.0.1 gets 403 (DNS rebinding), as does one that is sent by another origin.
pub struct AdminPages {
    program: String,
    dump: Option<Arc<Dump>>,
    logging: Option<Logging>,
    quit: CancellationToken,
    drained: Option<Drained>,
    more: Option<Arc<dyn Pages>>,
}

impl AdminPages {
    /// Pages of `program`; `quit` is cancelled by `/quitquitquit`.
    pub fn new(program: &str, quit: CancellationToken) -> Self {
        let program = program.to_owned();
        Self { program, dump: None, logging: None, quit, drained: None, more: None }
    }

    /// Makes `/config_dump` answer with what `dump` returns, called on a blocking thread.
    #[must_use]
    pub fn dump(mut self, dump: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        self.dump = Some(Arc::new(Box::new(dump)));
        self
    }

    /// Makes `/logging` show and change the levels of `logging`.
    #[must_use]
    pub fn logging(mut self, logging: Logging) -> Self {
        self.logging = Some(logging);
        self
    }

    /// Makes `/quitquitquit` answer when `drained` is done, or after 30 s.
    #[must_use]
    pub fn drained<F>(mut self, drained: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.drained = Some(Box::new(move || Box::pin(drained())));
        self
    }

    /// Answers with `pages` where these have none.
    #[must_use]
    pub fn more(mut self, pages: Arc<dyn Pages>) -> Self {
        self.more = Some(pages);
        self
    }

    async fn reply(&self, asked: &Asked) -> Reply {
        if !is_from_here(&asked.headers) {
            let text = "this page answers only to localhost\n";
            return Reply::text(StatusCode::FORBIDDEN, text);
        }
        match asked.uri.path() {
            "/" if asked.method == Method::GET => self.index(),
            "/config_dump" if asked.method == Method::GET => self.config_dump().await,
            "/logging" if asked.method == Method::POST => self.levels(asked),
            "/quitquitquit" if asked.method == Method::POST => self.quit().await,
            "/" | "/config_dump" | "/logging" | "/quitquitquit" => Reply::method_not_allowed(),
            _ => match &self.more {
                Some(pages) => pages.answer(asked).await,
                None => Reply::not_found(),
            },
        }
    }

    fn index(&self) -> Reply {
        let html = format!(
            "<!DOCTYPE html><html lang=\"en\"><title>{0}</title><h1>{0}</h1><ul>\
             <li><a href=\"/config_dump\">/config_dump</a>: state as JSON</li>\
             <li>POST /logging?level=debug or ?level=scope=debug or ?reset: log levels</li>\
             <li>POST /quitquitquit: graceful shutdown</li>{1}</ul></html>\n",
            self.program,
            if self.more.is_some() {
                "<li><a href=\"/ui/\">/ui/</a>: what this proxy carried</li>\
                 <li><a href=\"/api/v1/about\">/api/v1/</a>: the same as JSON</li>"
            } else {
                ""
            }
        );
        let content_type = "text/html; charset=utf-8";
        Reply::new(StatusCode::OK, content_type, html)
    }

    async fn config_dump(&self) -> Reply {
        let Some(dump) = self.dump.clone() else { return Reply::not_found() };
        let written = tokio::task::spawn_blocking(move || serde_json::to_vec_pretty(&dump()));
        if let Ok(Ok(json)) = written.await {
            let content_type = "application/json";
            Reply::new(StatusCode::OK, content_type, json)
        } else {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Reply::text(status, "the state cannot be written\n")
        }
    }

    fn levels(&self, asked: &Asked) -> Reply {
        let Some(logging) = &self.logging else { return Reply::not_found() };
        match parse_levels(asked.uri.query().unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some((reset, change))) => logging.change(reset, &change),
            Err(text) => return Reply::text(StatusCode::BAD_REQUEST, format!("{text}\n")),
        }
        Reply::text(StatusCode::OK, format!("current log level is {}\n", logging.levels()))
    }

    async fn quit(&self) -> Reply {
        self.quit.cancel();
        if let Some(drained) = &self.drained {
            let _ = tokio::time::timeout(QUIT_TIMEOUT, drained()).await;
        }
        Reply::text(StatusCode::OK, "shutdown now\n")
    }
}

impl Pages for AdminPages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        Box::pin(self.reply(asked))
    }
}

/// Reads `level=...` and `reset`: whether to reset, and the change; none if there is neither.
fn parse_levels(query: &str) -> Result<Option<(bool, Levels)>, String> {
    let mut reset = false;
    let mut change = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            None if part == "reset" => reset = true,
            Some(("reset", "")) => reset = true,
            Some(("level", levels)) => {
                let decoded = levels.replace("%3D", "=").replace("%3d", "=").replace("%2C", ",");
                let levels: Levels = decoded.parse().map_err(|error| format!("{error}"))?;
                change = Some(levels);
            }
            _ => return Err(format!("{part:?} is neither level=... nor reset")),
        }
    }
    Ok((reset || change.is_some()).then(|| (reset, change.unwrap_or_default())))
}

/// Whether the request was meant for this machine, by `Host` and, if sent, `Origin`: a page of
/// the web that had its name resolve to 127.0.0.1 is told apart (DNS rebinding).
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(&name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).is_some_and(is_local);
    let origin = text(header::ORIGIN)
        .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_local));
    host && origin && headers.get_all(header::HOST).iter().count() == 1
}

fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || host.eq_ignore_ascii_case("localhost")
}
