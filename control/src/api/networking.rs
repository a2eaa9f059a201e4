//! ServiceEntry and WorkloadEntry of `networking.istio.io/v1`.
//!
//! Values that have to be checked stay texts and wide numbers, so that the error can say what is
//! written there and what would be right.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `spec` of a ServiceEntry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// DNS names.
    pub hosts: Vec<String>,
    /// Addresses and blocks.
    pub addresses: Vec<String>,
    /// What is served there.
    pub ports: Vec<ServicePortSpec>,
    /// MESH_EXTERNAL if absent. Only checked: the mesh asks the endpoints.
    pub location: Option<String>,
    /// NONE if absent.
    pub resolution: Option<String>,
    /// Who serves it.
    pub endpoints: Vec<WorkloadEntrySpec>,
    /// Who serves it, by labels.
    pub workload_selector: Option<WorkloadSelector>,
    /// Who sees it.
    pub export_to: Vec<String>,
    /// More identities that the endpoints may have.
    pub subject_alt_names: Vec<String>,
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePortSpec {
    /// The port that clients dial.
    pub number: u64,
    /// What is spoken there.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Where it leads; the same number if absent.
    pub target_port: Option<u64>,
}

/// Pods and WorkloadEntries by their labels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadSelector {
    /// All of them.
    pub labels: BTreeMap<String, String>,
}

/// `spec` of a WorkloadEntry, and an endpoint of a ServiceEntry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkloadEntrySpec {
    /// An IP or a DNS name.
    pub address: String,
    /// Port name to number.
    pub ports: BTreeMap<String, u64>,
    /// By which it is chosen.
    pub labels: BTreeMap<String, String>,
    /// Its network, the own one if empty.
    pub network: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Its share of the traffic; 0 is none of its own.
    pub weight: u32,
    /// Whose identity it has.
    pub service_account: String,
}

/// The part of a ServiceEntry's `status` that is read: addresses that were given to its hosts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceEntryStatus {
    /// One of a host.
    pub addresses: Vec<GivenAddress>,
}

/// An address that was given to a host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GivenAddress {
    /// The address.
    pub value: String,
    /// Its host.
    pub host: String,
}
