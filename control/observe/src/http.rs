//! The API over HTTP (docs/observe.md, "HTTP API, version 1").

mod live;
mod parameters;
mod remembered;

use std::sync::Arc;

use bytes::Bytes;
use hbone::serve::{Answer, Asked, Pages, Reply};
use http::{Method, StatusCode};
use serde::Serialize;

use self::parameters::{Parameters, Wrong};
use self::remembered::Remembered;
use crate::page::Page;
use crate::pb::{Origin, Query};
use crate::source::{Heard, Source};
use crate::{RESOLUTION_MS, now_ms};

/// Where the API is.
const PREFIX: &str = "/api/v1/";
/// Points that a course of time has, if nobody says how wide a step is.
const POINTS: i64 = 60;

/// Answers out of a source.
pub struct Api {
    source: Arc<dyn Source>,
    version: &'static str,
    cluster: String,
    remembered: Remembered,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    scope: &'static str,
    version: &'static str,
    cluster: &'a str,
    now_ms: i64,
    oldest_ms: i64,
    resolution_ms: i64,
    longer: &'static str,
    origins: Vec<AboutOrigin>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AboutOrigin {
    #[serde(flatten)]
    origin: Origin,
    connected_ms: i64,
    oldest_ms: i64,
    error: String,
}

impl Api {
    /// Answers out of `source`; `version` is this program's.
    pub fn new(source: Arc<dyn Source>, version: &'static str, cluster: &str) -> Self {
        let remembered = Remembered::default();
        Self { source, version, cluster: cluster.to_owned(), remembered }
    }

    /// Whether a path is one of ours.
    pub fn has(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    /// The path that is answered, decoded once: what rights are asked for. None if it is none of
    /// ours.
    pub fn path(path: &str) -> Option<String> {
        path.strip_prefix(PREFIX).map(|name| format!("{PREFIX}{}", parameters::decoded(name)))
    }

    async fn reply(&self, asked: &Asked) -> Reply {
        if asked.method != Method::GET {
            return Reply::method_not_allowed();
        }
        let Some(path) = asked.uri.path().strip_prefix(PREFIX) else { return Reply::not_found() };
        if let Some(why) = self.source.away() {
            return Wrong::Away(why).reply();
        }
        let query = asked.uri.query().unwrap_or_default();
        let answered = match path {
            "about" => self.about(query).await,
            "live" => live::stream(&*self.source, query),
            _ => self.page(path, query).await,
        };
        answered.unwrap_or_else(|wrong| wrong.reply())
    }

    async fn about(&self, query: &str) -> Result<Reply, Wrong> {
        Parameters::parse(query)?.none_left()?;
        let now_ms = now_ms();
        let question = Query { from_ms: now_ms - 1, to_ms: now_ms, ..Query::default() };
        let heard = self.source.ask(question).await?;
        let oldest = |heard: &Heard| heard.result.as_ref().map_or(0, |answer| answer.oldest_ms);
        let origins = heard.iter().map(|heard| AboutOrigin {
            origin: heard.origin.clone(),
            connected_ms: heard.connected_ms,
            oldest_ms: oldest(heard),
            error: heard.result.as_ref().err().cloned().unwrap_or_default(),
        });
        json(&About {
            scope: self.source.scope(),
            version: self.version,
            cluster: &self.cluster,
            now_ms,
            oldest_ms: heard.iter().map(oldest).filter(|at| *at > 0).min().unwrap_or(now_ms),
            resolution_ms: RESOLUTION_MS,
            longer: self.source.longer(),
            origins: origins.collect(),
        })
    }

    async fn page(&self, path: &str, query: &str) -> Result<Reply, Wrong> {
        let mut parameters = Parameters::parse(query)?;
        let group = parameters.take("group");
        let path = parameters::decoded(path);
        let page = Page::at(&path, group.as_deref());
        let page = page.ok_or(Wrong::NoPage)?.map_err(|problem| Wrong::of("group", problem))?;
        let mut question = parameters.question()?;
        if question.step_ms == 0 && page.has_steps() {
            question.step_ms = (question.to_ms - question.from_ms) / POINTS;
        }
        let limit = crate::query::Checked::new(&question)?.limit();
        let question = page.question(question);
        let key = (page.clone(), format!("{question:?}"));
        let body = self.remembered.or_make(format!("{key:?}"), || async move {
            let heard = self.source.ask(question).await?;
            // Work for a processor, and not for the thread of the data path's pages.
            let shown = tokio::task::spawn_blocking(move || page.json(&heard, limit));
            match shown.await {
                Ok(Ok(body)) => Ok(Bytes::from(body)),
                _ => Err(Wrong::Ours),
            }
        });
        Ok(Reply::new(StatusCode::OK, "application/json", body.await?))
    }
}

impl Pages for Api {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        Box::pin(self.reply(asked))
    }
}

fn json(value: &impl Serialize) -> Result<Reply, Wrong> {
    let body = serde_json::to_vec(value).map_err(|_| Wrong::Ours)?;
    Ok(Reply::new(StatusCode::OK, "application/json", Bytes::from(body)))
}

#[cfg(test)]
mod tests;
