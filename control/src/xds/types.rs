//! The discovery types that are served.

use super::table::Table;
use crate::engine::Tables;

/// A type of resources. A further type is one more of these in [`all`].
#[derive(Clone, Debug)]
pub struct Type {
    /// The type URL.
    pub url: &'static str,
    /// Its resources.
    pub table: Table,
    /// Whether a client may ask for single names; else it gets everything.
    pub on_demand: bool,
}

/// Layer 4 policies.
pub const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";
/// Workloads and services.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";

/// The types, in the order in which changes go out: nobody hears of a workload that names a
/// policy before the policy.
pub fn all(tables: &Tables) -> Vec<Type> {
    vec![
        Type { url: AUTHORIZATION, table: tables.authorization.clone(), on_demand: false },
        Type { url: ADDRESS, table: tables.address.clone(), on_demand: true },
    ]
}
