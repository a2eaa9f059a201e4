//! How this proxy stands, for whoever asks (docs/observe.md).

use std::time::{SystemTime, UNIX_EPOCH};

use hbone::wire::authorization::{Action, Scope};
use observe::pb::{Certificate, Origin, Pod, Policy, State};
use observe::recorder::Recorder;
use observe::ring::RingSettings;

use super::Served;
use crate::config::Config;
use crate::state::PodName;
use crate::workload::WorkloadState;

/// What this proxy remembers.
pub(super) fn recorder(config: &Config) -> Recorder {
    let origin = Origin {
        node: config.place.node.to_string(),
        kind: "ztunnel".to_owned(),
        name: config.pod_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: observe::now_ms(),
        ..Origin::default()
    };
    let directory = config.observe_directory.clone();
    Recorder::new(origin, RingSettings { directory, limit: config.observe_limit })
}

/// What events call it.
pub(super) fn title(recorder: &Recorder) -> String {
    format!("ztunnel {}", recorder.origin().node)
}

/// How it stands now.
pub(super) fn state(served: &Served, ready: bool) -> State {
    let snapshot = served.shared.state.snapshot();
    let pods = served.view.list().into_iter().map(|(_, entry)| {
        let name = PodName {
            name: entry.info.name.as_str().into(),
            namespace: entry.info.namespace.as_str().into(),
            service_account: entry.info.service_account.as_str().into(),
        };
        let known = snapshot.pod(&name);
        let addresses = known.map(|w| w.addresses.iter().map(ToString::to_string).collect());
        let identity = known.and_then(|w| w.identity.as_ref()).map(ToString::to_string);
        let own_name = || entry.info.name.clone();
        let workload = known.map_or_else(own_name, |w| w.workload_name.to_string());
        Pod {
            namespace: entry.info.namespace,
            name: entry.info.name,
            identity: identity.unwrap_or_default(),
            addresses: addresses.unwrap_or_default(),
            workload,
            state: match entry.state {
                WorkloadState::Up => "enrolled",
                WorkloadState::Pending => "pending",
            }
            .to_owned(),
            ..Pod::default()
        }
    });
    State {
        pods: pods.collect(),
        certificates: certificates(served),
        ready,
        policies: snapshot
            .policies()
            .map(|policy| Policy {
                name: policy.key.to_string(),
                action: match policy.action {
                    Action::Allow => "ALLOW",
                    Action::Deny => "DENY",
                }
                .to_owned(),
                enforced_by: "ztunnel".to_owned(),
                scope: match policy.scope {
                    Scope::Global => "mesh",
                    Scope::Namespace => "namespace",
                    Scope::WorkloadSelector => "workload",
                }
                .to_owned(),
                dry_run: policy.dry_run,
            })
            .collect(),
        ..State::default()
    }
}

fn certificates(served: &Served) -> Vec<Certificate> {
    let now = SystemTime::now();
    let kept = served.shared.certificates.summaries();
    kept.into_iter()
        .map(|kept| {
            let ms = |at: SystemTime| {
                at.duration_since(UNIX_EPOCH)
                    .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            };
            let state = match (kept.life, kept.failure.is_empty()) {
                (Some((_, end)), _) if end > now => "valid",
                (Some(_), _) => "expired",
                (None, true) => "pending",
                (None, false) => "failed",
            };
            Certificate {
                identity: kept.identity.to_string(),
                not_before_ms: kept.life.map_or(0, |(begin, _)| ms(begin)),
                not_after_ms: kept.life.map_or(0, |(_, end)| ms(end)),
                state: state.to_owned(),
                error: kept.failure,
                kind: "ztunnel".to_owned(),
                ..Certificate::default()
            }
        })
        .collect()
}
