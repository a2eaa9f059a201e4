//! A connection's facts as labels.

use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::telemetry::{Locality, ResponseFlag, ServiceLabels, TrafficLabels, WorkloadLabels};
use hbone::tunnel::headers::Baggage;
use hbone::wire::workload::{Service, Workload};

use super::Facts;

pub(super) fn of(facts: &Facts, flag: ResponseFlag) -> TrafficLabels {
    // What the control plane says wins over what a peer says of itself.
    let source = match (&facts.src_workload, &facts.src_baggage) {
        (Some(workload), _) => Some(workload_labels(workload)),
        (None, Some(baggage)) => Some(baggage_labels(baggage)),
        (None, None) => None,
    };
    let principal = |id: &SpiffeId| Arc::from(id.to_string());
    let destination = facts.dst_workload.as_deref();
    TrafficLabels {
        reporter: facts.direction.reporter(),
        source: source.map(Arc::new),
        source_principal: facts.src_identity.as_ref().map(principal),
        service: facts.dst_service.as_deref().map(|s| Arc::new(service_labels(s))),
        destination: destination.map(|w| Arc::new(workload_labels(w))),
        destination_principal: destination.and_then(|w| w.identity.as_ref()).map(principal),
        request_protocol: "tcp",
        response_flags: flag.as_str(),
        mutual_tls: facts.mutual_tls,
    }
}

fn workload_labels(workload: &Workload) -> WorkloadLabels {
    WorkloadLabels {
        workload: workload.workload_name.to_string(),
        canonical_service: workload.canonical_name.to_string(),
        canonical_revision: workload.canonical_revision.to_string(),
        namespace: workload.namespace.to_string(),
        app: String::new(),
        cluster: workload.cluster.to_string(),
        locality: Locality {
            region: workload.locality.region.to_string(),
            zone: workload.locality.zone.to_string(),
        },
    }
}

fn baggage_labels(baggage: &Baggage) -> WorkloadLabels {
    WorkloadLabels {
        workload: baggage.workload.clone(),
        canonical_service: baggage.service.clone(),
        canonical_revision: baggage.revision.clone(),
        namespace: baggage.namespace.clone(),
        app: baggage.workload.clone(),
        cluster: baggage.cluster.clone(),
        locality: Locality { region: baggage.region.clone(), zone: baggage.zone.clone() },
    }
}

fn service_labels(service: &Service) -> ServiceLabels {
    ServiceLabels {
        hostname: service.key.hostname.to_string(),
        namespace: service.key.namespace.to_string(),
        name: service.name.to_string(),
    }
}
