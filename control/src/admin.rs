//! The administrative pages: `/metrics`, `/ready`, `/debug/status`, `/debug/config`.

use std::future::ready;
use std::sync::Arc;

use hbone::serve::{Answer, Asked, MetricsPage, Pages, Reply};
use hyper::{Method, StatusCode};
use serde::Serialize;

use crate::config::Config;
use crate::engine::Tables;
use crate::status::Board;

/// The pages.
pub struct AdminPages {
    /// The metrics.
    pub metrics: MetricsPage,
    /// Conditions and problems.
    pub board: Board,
    /// What is served.
    pub tables: Tables,
    /// What was asked for at the start.
    pub config: Arc<Config>,
}

impl Pages for AdminPages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        if matches!(asked.uri.path(), "/metrics" | "/stats/prometheus") {
            return self.metrics.answer(asked);
        }
        Box::pin(ready(self.reply(asked)))
    }
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
    fn reply(&self, asked: &Asked) -> Reply {
        // A page of another site that a browser has open must not read these: only requests
        // that name this machine are answered (DNS rebinding).
        if !names_this_machine(asked) {
            return Reply::text(StatusCode::FORBIDDEN, "ask for localhost\n");
        }
        if asked.method != Method::GET {
            return Reply::method_not_allowed();
        }
        match asked.uri.path() {
            "/ready" if self.board.synced() => Reply::text(StatusCode::OK, "ready\n"),
            "/ready" => Reply::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "not ready: the source has not been read, or holds no object\n",
            ),
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

fn names_this_machine(asked: &Asked) -> bool {
    let Some(host) = asked.headers.get("host") else { return true };
    let Ok(host) = host.to_str() else { return false };
    let authority = host.parse::<http::uri::Authority>();
    authority.is_ok_and(|a| {
        let name = a.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
    })
}

fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => {
            Reply { status: StatusCode::OK, content_type: "application/json", body: body.into() }
        }
        Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
