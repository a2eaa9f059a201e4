//! Workloads, services and policies as a proxy has them.

use serde::Serialize;

use crate::mesh::Mesh;
use crate::mesh::dump::{Policy, ProxyDump, Service, Workload};
use crate::terminal::{Cell, Column, Listing, Style, Table};

/// `-o json` of `workloads`.
#[derive(Debug, Serialize)]
pub(super) struct Workloads {
    workloads: Vec<Workload>,
}

impl Workloads {
    pub(super) fn of(dump: &ProxyDump, mesh: &Mesh) -> Self {
        let all = dump.workloads.iter().filter(|one| mesh.namespaces.has(&one.namespace));
        let mut workloads: Vec<Workload> = all.cloned().collect();
        workloads.sort_by_key(Workload::key);
        Self { workloads }
    }
}

impl Listing for Workloads {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("NAME"),
            Column::text("ADDRESS"),
            Column::text("NODE"),
            Column::text("PROTOCOL"),
            Column::text("WAYPOINT"),
            Column::text("STATUS").wide(),
            Column::text("IDENTITY").wide(),
            Column::text("POLICIES").wide(),
        ];
        let mut table = Table::new(&columns, "it knows no workloads");
        for one in &self.workloads {
            let mut address = one.workload_ips.join(",");
            if address.is_empty() {
                address.clone_from(&one.hostname);
            }
            let style = if one.protocol == "HBONE" { Style::Good } else { Style::Plain };
            table.row([
                one.namespace.as_str().into(),
                one.name.as_str().into(),
                address.into(),
                one.node.as_str().into(),
                Cell::styled(&one.protocol, style),
                one.waypoint.as_ref().map(|waypoint| waypoint.name()).unwrap_or_default().into(),
                one.status.as_str().into(),
                one.identity().into(),
                one.authorization_policies.join(",").into(),
            ]);
        }
        table
    }
}

/// `-o json` of `services`.
#[derive(Debug, Serialize)]
pub(super) struct Services {
    services: Vec<Service>,
}

impl Services {
    pub(super) fn of(dump: &ProxyDump, mesh: &Mesh) -> Self {
        let all = dump.services.iter().filter(|one| mesh.namespaces.has(&one.namespace));
        let mut services: Vec<Service> = all.cloned().collect();
        services.sort_by_key(Service::key);
        for service in &mut services {
            // A waypoint lists services without their endpoints: its workloads have them.
            if service.endpoints.is_empty() {
                let key = service.key();
                let members = dump.workloads.iter().filter(|one| one.services.contains_key(&key));
                service.endpoints =
                    members.map(|one| (one.uid.clone(), one.status.clone().into())).collect();
            }
        }
        Self { services }
    }
}

impl Listing for Services {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("SERVICE"),
            Column::text("ADDRESS"),
            Column::number("ENDPOINTS"),
            Column::text("WAYPOINT"),
            Column::text("PORTS").wide(),
            Column::text("HOST").wide(),
        ];
        let mut table = Table::new(&columns, "it knows no services");
        for one in &self.services {
            // `network/address`; of one network the address alone is enough.
            let vips: Vec<&str> =
                one.vips.iter().map(|vip| vip.strip_prefix('/').unwrap_or(vip)).collect();
            let ports: Vec<String> =
                one.ports.iter().map(|(port, target)| format!("{port}->{target}")).collect();
            let style = if one.endpoints.is_empty() { Style::Warning } else { Style::Plain };
            table.row([
                one.namespace.as_str().into(),
                one.name.as_str().into(),
                vips.join(",").into(),
                Cell::styled(one.endpoints.len().to_string(), style),
                one.waypoint.as_ref().map(|waypoint| waypoint.name()).unwrap_or_default().into(),
                ports.join(",").into(),
                one.hostname.as_str().into(),
            ]);
        }
        table
    }
}

/// `-o json` of `policies`.
#[derive(Debug, Serialize)]
pub(super) struct Policies {
    policies: Vec<Policy>,
}

impl Policies {
    pub(super) fn of(dump: &ProxyDump, mesh: &Mesh) -> Self {
        let all = dump.policies.iter().filter(|one| mesh.namespaces.has(&one.namespace));
        let mut policies: Vec<Policy> = all.cloned().collect();
        policies.sort_by_key(Policy::key);
        Self { policies }
    }
}

impl Listing for Policies {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("POLICY"),
            Column::text("ACTION"),
            Column::text("FOR"),
            Column::text("DRY RUN"),
            Column::text("RULES").wide(),
        ];
        let mut table = Table::new(&columns, "it enforces no policies");
        for one in &self.policies {
            let target = match one.targets.as_slice() {
                [] => one.scope.clone(),
                targets => targets.join(","),
            };
            let rules = if one.rules.is_null() { String::new() } else { one.rules.to_string() };
            table.row([
                one.namespace.as_str().into(),
                one.name.as_str().into(),
                one.action.as_str().into(),
                target.into(),
                if one.dry_run { Cell::styled("yes", Style::Warning) } else { "no".into() },
                rules.into(),
            ]);
        }
        table
    }
}
