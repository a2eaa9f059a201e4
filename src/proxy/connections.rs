//! Connections that are open in a ztunnel now.

use serde::Serialize;

use crate::mesh::Mesh;
use crate::mesh::dump::{Connection, ProxyDump};
use crate::terminal::{Cell, Column, Listing, Style, Table};

/// `-o json` of `connections`.
#[derive(Debug, Serialize)]
pub(super) struct Connections {
    connections: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    pod: String,
    /// `inbound` or `outbound`, as the pod sees it.
    direction: &'static str,
    #[serde(flatten)]
    connection: Connection,
}

impl Connections {
    pub(super) fn of(dump: &ProxyDump, mesh: &Mesh) -> Self {
        let mut connections = Vec::new();
        for pod in dump.workload_state.values() {
            if !mesh.namespaces.has(&pod.info.namespace) {
                continue;
            }
            let inbound = pod.connections.inbound.iter().map(|one| ("inbound", one));
            let outbound = pod.connections.outbound.iter().map(|one| ("outbound", one));
            connections.extend(inbound.chain(outbound).map(|(direction, one)| Row {
                namespace: pod.info.namespace.clone(),
                pod: pod.info.name.clone(),
                direction,
                connection: one.clone(),
            }));
        }
        connections.sort_by(|a, b| {
            (&a.namespace, &a.pod, a.direction).cmp(&(&b.namespace, &b.pod, b.direction))
        });
        Self { connections }
    }
}

impl Listing for Connections {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("POD"),
            Column::text("DIRECTION"),
            Column::text("FROM"),
            Column::text("TO"),
            Column::text("PROTOCOL"),
            Column::text("DIALLED").wide(),
        ];
        let mut table = Table::new(&columns, "no connection is open");
        for Row { namespace, pod, direction, connection } in &self.connections {
            table.row([
                namespace.as_str().into(),
                pod.as_str().into(),
                (*direction).into(),
                connection.src.as_str().into(),
                connection.original_dst.as_str().into(),
                Cell::styled(
                    &connection.protocol,
                    if connection.protocol == "HBONE" { Style::Good } else { Style::Warning },
                ),
                connection.actual_dst.as_str().into(),
            ]);
        }
        table
    }
}
