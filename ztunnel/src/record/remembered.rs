//! A connection as its node remembers it (docs/observe.md).

use std::net::SocketAddr;
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::telemetry::ResponseFlag;
use hbone::wire::workload::Workload;
use observe::pb::{EdgeKey, Party};
use observe::recorder::{Ends, Failure};

use super::{Direction, Facts, Outcome, Party as Named};

/// Who calls whom.
pub(super) fn key(facts: &Facts) -> EdgeKey {
    let proved = |id: Option<&SpiffeId>| id.map(ToString::to_string).unwrap_or_default();
    let destination = facts.dst_workload.as_deref();
    EdgeKey {
        reporter: facts.direction.reporter().as_str().to_owned(),
        source: Some(source(facts, proved(facts.src_identity.as_ref()))),
        destination: destination
            .map(|workload| party(workload, proved(workload.identity.as_ref()))),
        service: facts
            .dst_service
            .as_ref()
            .map(|service| service.key.to_string())
            .unwrap_or_default(),
        port: port(facts).into(),
        protocol: "tcp".to_owned(),
        security: if facts.mutual_tls { "mtls" } else { "plain" }.to_owned(),
        policy: facts.policy.as_deref().unwrap_or_default().to_owned(),
        ..EdgeKey::default()
    }
}

fn party(workload: &Workload, identity: String) -> Party {
    Party {
        namespace: workload.namespace.to_string(),
        workload: workload.workload_name.to_string(),
        identity,
    }
}

fn source(facts: &Facts, identity: String) -> Party {
    match (facts.src_workload.as_deref(), facts.src_baggage.as_deref()) {
        (Some(workload), _) => party(workload, identity),
        (None, Some(said)) => {
            Party { namespace: name(&said.namespace), workload: name(&said.workload), identity }
        }
        (None, None) => Party { identity, ..Party::default() },
    }
}

/// A name as a peer tells it, no longer than one of Kubernetes: ten thousand edges keep theirs.
fn name(said: &str) -> String {
    const LONGEST: usize = 253;
    said.chars().take(LONGEST).collect()
}

/// The port that was meant: a tunnel names it, whatever port carries the tunnel.
fn port(facts: &Facts) -> u16 {
    let named = facts.hbone_addr.as_deref();
    let named = named.and_then(|authority| authority.rsplit_once(':')?.1.parse().ok());
    named.unwrap_or(facts.dst_addr.port())
}

/// Which pods speak, and from where to where.
pub(super) fn ends(facts: &Facts) -> Ends {
    let meant = facts.hbone_addr.as_deref().and_then(|authority| authority.parse().ok());
    let name = |workload: Option<&Arc<Workload>>| workload.map(|w| Arc::clone(&w.name));
    let source = Named::source(facts).workload.map(Arc::from);
    Ends {
        source_pod: name(facts.src_workload.as_ref()).or(source).unwrap_or_default(),
        destination_pod: name(facts.dst_workload.as_ref()).unwrap_or_default(),
        source: Some(facts.src_addr),
        destination: Some::<SocketAddr>(meant.unwrap_or(facts.dst_addr)),
    }
}

/// Why a connection failed, if it did.
pub(super) fn failure(facts: &Facts, outcome: &Outcome) -> Option<Failure> {
    let Outcome::Failed { flag, error, policy } = outcome else { return None };
    let hop = match facts.direction {
        Direction::Outbound => "source ztunnel",
        Direction::Inbound => "destination ztunnel",
    };
    Some(Failure {
        class: flag.as_str().to_owned(),
        refused: *flag == ResponseFlag::Deny,
        policy: policy.as_deref().unwrap_or_default().to_owned(),
        error: error.clone(),
        hop: hop.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_peer_that_gives_itself_an_endless_name_has_a_short_one_here() {
        assert_eq!(super::name(&"ä".repeat(10_000)).chars().count(), 253);
        assert_eq!(super::name("web"), "web");
    }
}
