//! What proxies say at `/config_dump` (docs/wire.md, "Configuration dump"), as far as it is
//! needed. Fields that are missing are empty: an older or newer peer is shown as far as it goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A hint for who asks an old waypoint.
pub(super) const WAYPOINT_HAS_NO_DUMP: &str =
    "a waypoint of an older version has no dump; restart it with this version";

/// A dump.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProxyDump {
    pub(crate) version: Version,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) services: Vec<Service>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) certificates: Vec<Certificate>,
    /// By pod UID; of ztunnels.
    pub(crate) workload_state: BTreeMap<String, PodState>,
    pub(crate) config: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    pub(crate) version: String,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Workload {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) workload_ips: Vec<String>,
    pub(crate) protocol: String,
    pub(crate) trust_domain: String,
    pub(crate) service_account: String,
    pub(crate) waypoint: Option<Gateway>,
    pub(crate) node: String,
    pub(crate) workload_name: String,
    pub(crate) workload_type: String,
    pub(crate) status: String,
    pub(crate) authorization_policies: Vec<String>,
    pub(crate) hostname: String,
    pub(crate) services: BTreeMap<String, Value>,
}

impl Workload {
    /// Its identity.
    pub(crate) fn identity(&self) -> String {
        let Self { trust_domain, namespace, service_account, .. } = self;
        format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }

    /// `namespace/name`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A reference to a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Gateway {
    pub(crate) destination: String,
    pub(crate) hbone_mtls_port: u16,
}

impl Gateway {
    /// Its short name, where it is a service of the cluster; else as it is.
    pub(crate) fn name(&self) -> String {
        let Some((namespace, host)) = self.destination.split_once('/') else {
            return self.destination.clone();
        };
        let is_service = host.contains(&format!(".{namespace}.svc."));
        let name = host.split('.').next().unwrap_or(host);
        if is_service { format!("{namespace}/{name}") } else { self.destination.clone() }
    }
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) hostname: String,
    pub(crate) vips: Vec<String>,
    pub(crate) ports: BTreeMap<u16, u16>,
    pub(crate) waypoint: Option<Gateway>,
    pub(crate) endpoints: BTreeMap<String, Value>,
}

impl Service {
    /// `namespace/hostname`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.hostname)
    }
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) scope: String,
    pub(crate) action: String,
    pub(crate) rules: Value,
    pub(crate) dry_run: bool,
    /// Of waypoints: what it guards.
    pub(crate) targets: Vec<String>,
}

impl Policy {
    /// `namespace/name`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The certificate of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Certificate {
    pub(crate) identity: String,
    pub(crate) state: String,
    pub(crate) cert_chain: Vec<CertificateItem>,
    pub(crate) root_certs: Vec<CertificateItem>,
}

/// A link of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CertificateItem {
    pub(crate) serial_number: String,
    pub(crate) valid_from: String,
    pub(crate) expiration_time: String,
}

/// A pod that a ztunnel serves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodState {
    /// `Up` or `Pending`.
    pub(crate) state: String,
    pub(crate) info: PodInfo,
    pub(crate) connections: Connections,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodInfo {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Connections {
    pub(crate) inbound: Vec<Connection>,
    pub(crate) outbound: Vec<Connection>,
}

/// An open connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Connection {
    pub(crate) src: String,
    pub(crate) original_dst: String,
    pub(crate) actual_dst: String,
    pub(crate) protocol: String,
}
