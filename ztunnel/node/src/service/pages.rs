//! Readiness and liveness on one address, metrics on another.

use std::sync::Arc;

use hbone::serve::{Answer, Asked, MetricsPage, Pages, Reply};
use http::{Method, StatusCode};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::agent::Agent;

/// `/readyz`: the pods of this node were received, and the CNI plugin is in force where there is
/// one; `/healthz`: the process answers.
pub(super) struct Health {
    pub(super) synced: watch::Receiver<bool>,
    pub(super) installed: Option<watch::Receiver<bool>>,
}

/// `/metrics`, with gauges brought up to date first.
pub(super) struct AgentPages {
    agent: Agent,
    page: MetricsPage,
}

impl Pages for Health {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        let reply = match (asked.uri.path(), &asked.method) {
            ("/readyz" | "/healthz", method) if method != Method::GET => {
                Reply::method_not_allowed()
            }
            ("/readyz", _) if !*self.synced.borrow() => {
                let text = "not ready, pending: pods of this node\n";
                Reply::text(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            ("/readyz", _) if self.installed.as_ref().is_some_and(|there| !*there.borrow()) => {
                let text = "not ready, pending: CNI plugin\n";
                Reply::text(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            ("/readyz" | "/healthz", _) => Reply::text(StatusCode::OK, "ok\n"),
            _ => Reply::not_found(),
        };
        Box::pin(std::future::ready(reply))
    }
}

impl AgentPages {
    pub(super) fn new(agent: Agent, registry: Registry) -> Self {
        Self { agent, page: MetricsPage(Arc::new(registry)) }
    }
}

impl Pages for AgentPages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answer<'a> {
        self.agent.refresh_metrics();
        self.page.answer(asked)
    }
}
