//! The administrative pages: `/metrics`, `/ready`, `/debug/status`, `/debug/config`,
//! `/debug/mesh`; and those of them that others than this machine may ask for.

mod mesh;

use std::future::ready;
use std::sync::{Arc, RwLock};

use hbone::serve::{Answer, Asked, MetricsPage, Pages, Reply};
use http::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use observe::site::Website;
use serde::Serialize;

use crate::config::Config;
use crate::engine::Tables;
use crate::model::world::World;
use crate::status::Board;

use self::mesh::MeshDump;

/// The pages.
pub struct AdminPages {
    /// The metrics.
    pub metrics: MetricsPage,
    /// Conditions and problems.
    pub board: Board,
    /// What is served.
    pub tables: Tables,
    /// What is known.
    pub world: Arc<RwLock<World>>,
    /// What was asked for at the start.
    pub config: Arc<Config>,
    /// What is remembered, and the pages that show it.
    pub site: Arc<Website>,
}

impl Pages for AdminPages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        // A page of another site that a browser has open must not read these: only requests
        // that name this machine are answered (DNS rebinding).
        if !names_this_machine(asked) {
            let text = "ask for localhost, or for the address of this machine\n";
            return Box::pin(ready(Reply::text(StatusCode::FORBIDDEN, text)));
        }
        if matches!(asked.uri.path(), "/metrics" | "/stats/prometheus") {
            return self.metrics.answer(asked);
        }
        if Website::has(asked.uri.path()) {
            return self.site.answer(asked);
        }
        if asked.uri.path() == "/debug/mesh" && asked.method == Method::GET {
            return self.mesh();
        }
        Box::pin(ready(self.reply(asked)))
    }
}

/// What probes and collectors of metrics ask for: nothing of the configuration.
pub struct StatsPages {
    /// The metrics.
    pub metrics: MetricsPage,
    /// Whether there is a state to serve.
    pub board: Board,
}

impl Pages for StatsPages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        match (&asked.method, asked.uri.path()) {
            (_, "/metrics" | "/stats/prometheus") => self.metrics.answer(asked),
            (&Method::GET, "/ready") => Box::pin(ready(readiness(&self.board))),
            (&Method::GET, _) => Box::pin(ready(Reply::not_found())),
            _ => Box::pin(ready(Reply::method_not_allowed())),
        }
    }
}

fn readiness(board: &Board) -> Reply {
    if board.synced() {
        return Reply::text(StatusCode::OK, "ready\n");
    }
    let text = "not ready: the source has not been read, or holds no object\n";
    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dump<'a> {
    config: &'a Config,
    resources: Resources,
}

#[derive(Serialize)]
struct Resources {
    address: usize,
    authorization: usize,
    pods: usize,
}

impl AdminPages {
    /// Everything at once is large in a large mesh: it is written where that stalls nobody.
    fn mesh(&self) -> Answer<'_> {
        let (config, world) = (self.config.clone(), self.world.clone());
        let tables = self.tables.clone();
        let written =
            tokio::task::spawn_blocking(move || json(&MeshDump::of(&config, &world, &tables)));
        Box::pin(async {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            written.await.unwrap_or_else(|_| Reply::text(status, "the state cannot be written\n"))
        })
    }

    fn reply(&self, asked: &Asked) -> Reply {
        if asked.method != Method::GET {
            return Reply::method_not_allowed();
        }
        match asked.uri.path() {
            "/ready" => readiness(&self.board),
            "/debug/status" => json(&self.board.report()),
            "/debug/config" => json(&Dump {
                config: &self.config,
                resources: Resources {
                    address: self.tables.address.len(),
                    authorization: self.tables.authorization.len(),
                    pods: self.tables.node_pods.len(),
                },
            }),
            _ => Reply::not_found(),
        }
    }
}

/// By `Host`, of which there is one, and by `Origin` if there is one: localhost or an address,
/// never a name that somebody else can let point here.
fn names_this_machine(asked: &Asked) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let mut hosts = asked.headers.get_all(header::HOST).iter().map(text);
    let host = hosts.next().is_some_and(|host| is_here(&host)) && hosts.next().is_none();
    let origin = asked.headers.get(header::ORIGIN).map(text);
    host && origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_here))
}

fn is_here(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let host = authority.host().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
}

fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => Reply::new(StatusCode::OK, "application/json", body),
        Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

#[cfg(test)]
mod tests;
