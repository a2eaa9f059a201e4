//! `/config_dump`: all that this proxy knows (docs/wire.md, "Configuration dump").

use serde_json::{Value, json};

use super::Served;
use super::pods::Pods;
use crate::proxy::{LiveConnection, Shared};
use crate::record::Direction;
use crate::workload::WorkloadView;

/// The dump as JSON. It copies the whole state: for people, not for connections.
pub(super) fn config_dump(served: &Served) -> Value {
    let Served { shared, pods, view } = served;
    let state = serde_json::to_value(shared.state.snapshot().dump());
    let mut dump = match state {
        Ok(Value::Object(map)) => map,
        Ok(other) => serde_json::Map::from_iter([("state".to_owned(), other)]),
        Err(error) => serde_json::Map::from_iter([("error".to_owned(), error.to_string().into())]),
    };
    dump.insert("version".to_owned(), json!({ "version": env!("CARGO_PKG_VERSION") }));
    dump.insert("config".to_owned(), config(shared));
    let static_config = shared.config.local_xds_path.as_ref().map(|p| p.display().to_string());
    dump.insert("staticConfig".to_owned(), json!({ "path": static_config }));
    let certificates = serde_json::to_value(shared.certificates.dump()).unwrap_or_default();
    dump.insert("certificates".to_owned(), certificates);
    dump.insert("workloadState".to_owned(), workload_state(pods, view));
    Value::Object(dump)
}

fn workload_state(pods: &Pods, view: &WorkloadView) -> Value {
    let entries = view.list().into_iter().map(|(uid, entry)| {
        let (inbound, outbound): (Vec<LiveConnection>, Vec<LiveConnection>) = pods
            .connections(&uid)
            .into_iter()
            .partition(|connection| connection.direction == Direction::Inbound);
        let value = json!({
            "state": entry.state,
            "connections": { "inbound": inbound, "outbound": outbound },
            "info": entry.info,
        });
        (uid, value)
    });
    Value::Object(entries.collect())
}

/// What is in force. The token is never shown.
fn config(shared: &Shared) -> Value {
    let config = &shared.config;
    json!({
        "clusterId": &*config.place.cluster,
        "network": &*config.place.network,
        "localNode": &*config.place.node,
        "trustDomain": config.trust_domain.as_str(),
        "xdsAddress": config.xds_address,
        "caAddress": config.ca_address,
        "inpodUds": config.agent_socket.display().to_string(),
        "secretTtlSeconds": config.secret_ttl.as_secs(),
        "packetMark": config.sockets.mark,
        "ipv6Enabled": config.sockets.ipv6,
        "windowSize": config.tunnel.stream_window,
        "frameSize": config.tunnel.max_frame,
        "poolMaxStreamsPerConn": config.tunnel.max_streams_opened,
        "poolUnusedReleaseTimeoutSeconds": config.tunnel.idle_release.as_secs(),
        "podMaxConnections": config.pod_connections,
        "podMaxHandshakes": config.pod_handshakes,
        "numWorkerThreads": config.worker_threads,
        "selfTerminationDeadlineSeconds": config.drain_deadline.as_secs(),
    })
}
