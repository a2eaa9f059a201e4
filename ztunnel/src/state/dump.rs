//! The state as `/config_dump` shows it (docs/wire.md, "Configuration dump").

use std::collections::BTreeMap;

use hbone::wire::address::NamespacedHostname;
use hbone::wire::authorization::LocalAuthorization;
use hbone::wire::workload::{LocalService, LocalWorkload, Membership, Workload};
use serde::Serialize;

use super::snapshot::{Members, Snapshot};

/// The parts of the dump that the state knows; lists are sorted by key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    workloads: Vec<LocalWorkload>,
    services: Vec<DumpService>,
    policies: Vec<LocalAuthorization>,
    /// Endpoints of services that are not known: by service, by uid.
    staged_services: BTreeMap<String, BTreeMap<String, DumpEndpoint>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DumpService {
    #[serde(flatten)]
    service: LocalService,
    endpoints: BTreeMap<String, DumpEndpoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DumpEndpoint {
    workload_uid: String,
    status: hbone::wire::workload::WorkloadStatus,
    /// Service port to this workload's port.
    port: BTreeMap<u16, u16>,
}

impl Snapshot {
    /// The state in local form. It copies everything: for people, not for connections.
    pub fn dump(&self) -> Dump {
        let mut workloads: Vec<_> = self.workloads().collect();
        workloads.sort_unstable_by(|a, b| a.uid.cmp(&b.uid));
        let mut services: Vec<_> = self.services().collect();
        services.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut policies: Vec<_> = self.policies().collect();
        policies.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let staged = self.members.iter().filter(|(key, _)| !self.services.contains_key(*key));
        Dump {
            workloads: workloads.into_iter().map(|w| (&**w).into()).collect(),
            services: services
                .into_iter()
                .map(|service| DumpService {
                    service: (&**service).into(),
                    endpoints: self
                        .members
                        .get(&service.key)
                        .map(|members| endpoints(&service.key, members))
                        .unwrap_or_default(),
                })
                .collect(),
            policies: policies.into_iter().map(|p| (&**p).into()).collect(),
            staged_services: staged
                .map(|(key, members)| (key.to_string(), endpoints(key, members)))
                .collect(),
        }
    }
}

fn endpoints(key: &NamespacedHostname, members: &Members) -> BTreeMap<String, DumpEndpoint> {
    let one = |workload: &Workload| DumpEndpoint {
        workload_uid: workload.uid.to_string(),
        status: workload.status,
        port: workload.membership(key).map(ports).unwrap_or_default(),
    };
    members.iter().map(|(uid, workload)| (uid.to_string(), one(workload))).collect()
}

fn ports(member: &Membership) -> BTreeMap<u16, u16> {
    member.ports.iter().map(|port| (port.service, port.target)).collect()
}
