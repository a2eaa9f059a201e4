//! Labels of a request or connection.

use std::sync::Arc;

use hbone::telemetry::{Locality, Reporter, ServiceLabels, TrafficLabels, WorkloadLabels};
use hbone::wire::workload::Workload;

use crate::directory::Target;
use crate::inbound::Inbound;

/// Labels of what came on `inbound` and went to `destination`.
pub(super) fn traffic(
    inbound: &Inbound,
    destination: Option<&Workload>,
    protocol: &'static str,
    flag: &'static str,
) -> TrafficLabels {
    let service = match &inbound.target {
        Target::Service { service, .. } => Some(Arc::new(ServiceLabels {
            hostname: service.key.hostname.to_string(),
            namespace: service.key.namespace.to_string(),
            name: service.name.to_string(),
        })),
        Target::Workload { .. } => None,
    };
    TrafficLabels {
        reporter: Reporter::Waypoint,
        source: inbound.source.as_deref().map(workload),
        source_principal: Some(inbound.peer.to_string().into()),
        service,
        destination: destination.map(workload),
        destination_principal: destination
            .and_then(|w| w.identity.as_ref())
            .map(|id| id.to_string().into()),
        request_protocol: protocol,
        response_flags: flag,
        mutual_tls: true,
    }
}

fn workload(of: &Workload) -> Arc<WorkloadLabels> {
    Arc::new(WorkloadLabels {
        workload: of.workload_name.to_string(),
        canonical_service: of.canonical_name.to_string(),
        canonical_revision: of.canonical_revision.to_string(),
        namespace: of.namespace.to_string(),
        app: String::new(),
        cluster: of.cluster.to_string(),
        locality: Locality {
            region: of.locality.region.to_string(),
            zone: of.locality.zone.to_string(),
        },
    })
}
