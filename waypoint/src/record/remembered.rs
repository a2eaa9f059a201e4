//! A request or connection as its waypoint remembers it (docs/observe.md).

use std::time::Duration;

use hbone::wire::workload::{Service, Workload};
use observe::pb::{EdgeKey, Origin, Party};
use observe::recorder::{Ends, Exchange, Failure as Remembered, Line};

use super::{Record, lossy};
use crate::config::object::ObjectName;
use crate::directory::Target;
use crate::failure::{Failure, Hop};
use crate::http::head::{Head, REQUEST_ID};
use crate::inbound::Inbound;

/// Who calls whom on `inbound`, whatever carries it.
pub(crate) fn key(origin: &Origin, inbound: &Inbound, served: Option<&Workload>) -> EdgeKey {
    let source = inbound.source.as_deref();
    EdgeKey {
        reporter: "waypoint".to_owned(),
        source: Some(Party {
            namespace: source
                .map_or_else(|| inbound.peer.namespace().to_owned(), |w| w.namespace.to_string()),
            workload: source.map(|w| w.workload_name.to_string()).unwrap_or_default(),
            identity: inbound.peer.to_string(),
        }),
        destination: served.map(|workload| Party {
            namespace: workload.namespace.to_string(),
            workload: workload.workload_name.to_string(),
            identity: workload.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        service: match &inbound.target {
            Target::Service { service, .. } => service.key.to_string(),
            Target::Workload { services, .. } => {
                services.first().map(ToString::to_string).unwrap_or_default()
            }
        },
        port: inbound.target.address().port().into(),
        protocol: "tcp".to_owned(),
        security: "mtls".to_owned(),
        waypoint: format!("{}/{}", origin.namespace, origin.gateway),
        ..EdgeKey::default()
    }
}

/// Which pods speak, and from where to where.
pub(crate) fn ends(inbound: &Inbound, served: Option<&Workload>) -> Ends {
    Ends {
        source_pod: inbound.source.as_ref().map(|w| w.name.clone()).unwrap_or_default(),
        destination_pod: served.map(|w| w.name.clone()).unwrap_or_default(),
        source: Some(inbound.client),
        destination: Some(inbound.target.address()),
    }
}

/// The hop of an external authorizer.
const AUTHORIZER: &str = "authorizer";

/// Why something failed.
pub(crate) fn failure(failure: &Failure) -> Remembered {
    let refused = failure.policy().is_some()
        || matches!(
            failure,
            Failure::NotAllowed
                | Failure::Revoked(_)
                | Failure::Unauthenticated { .. }
                | Failure::AuthorizerDenied { .. }
                | Failure::AuthenticationUnreadable { .. }
        );
    Remembered {
        class: failure.reason().to_owned(),
        refused,
        policy: failure.policy().map(named).unwrap_or_default(),
        error: failure.to_string(),
        hop: match failure.hop() {
            Hop::Client => "client",
            Hop::Waypoint => "waypoint",
            Hop::Authorizer => AUTHORIZER,
            Hop::Application => "application",
        }
        .to_owned(),
    }
}

/// An object without its kind.
pub(crate) fn named(object: &ObjectName) -> String {
    format!("{}/{}", object.namespace, object.name)
}

impl Record {
    /// Remembers the request, which took so long and sent so many bytes.
    pub(super) fn remember(&self, took: Duration, sent: u64) {
        let recorder = self.metrics.recorder();
        let served = self.tried.as_ref().and_then(|tried| tried.workload.as_deref());
        let head = self.head.as_deref();
        let grpc = head.is_some_and(Head::is_grpc);
        let backend = |service: &std::sync::Arc<Service>| service.key.to_string();
        let key = EdgeKey {
            protocol: if grpc { "grpc" } else { "http" }.to_owned(),
            policy: self.policy.as_ref().map(named).unwrap_or_default(),
            route: self.route.as_ref().map(named).unwrap_or_default(),
            rule: self.rule.as_deref().unwrap_or_default().to_owned(),
            backend: self.backend.as_ref().map(backend).unwrap_or_default(),
            ..key(recorder.origin(), &self.inbound, served)
        };
        let failed = self.answer.failure.as_ref().map(failure).map(|mut failed| {
            // What an authorizer decides it decides for the policy that has it asked.
            if failed.policy.is_empty() && failed.hop == AUTHORIZER {
                failed.policy.clone_from(&key.policy);
            }
            failed
        });
        let line = if failed.is_some() { self.line() } else { Line::default() };
        recorder.request(
            key,
            Exchange {
                latency: took,
                status: self.answer.status.map_or(0, |status| status.as_u16()),
                retries: self.attempts.saturating_sub(1),
                sent_bytes: sent,
                received_bytes: self.answer.bytes,
                ends: ends(&self.inbound, served),
                failure: failed,
                line,
            },
        );
    }

    fn line(&self) -> Line {
        let Some(head) = self.head.as_deref() else { return Line::default() };
        let id = head.headers.get(REQUEST_ID.as_str()).map(lossy);
        Line {
            method: head.method.as_str().to_owned(),
            path: head.target(),
            authority: head.authority().to_owned(),
            request_id: id.as_deref().unwrap_or_default().to_owned(),
        }
    }
}
