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
    /// Whether a client gets only what belongs to its own identity's group.
    pub scoped: bool,
}

/// Layer 4 policies.
pub const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";
/// Workloads and services.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";

/// External authorizers, for waypoints.
pub const WAYPOINT_PROVIDER: &str = "type.googleapis.com/ambit.waypoint.v1.Provider";
/// Whose tokens are trusted, for the waypoints of their targets.
pub const WAYPOINT_AUTHENTICATION: &str = "type.googleapis.com/ambit.waypoint.v1.Authentication";
/// Layer 7 policies, for the waypoints of their targets.
pub const WAYPOINT_POLICY: &str = "type.googleapis.com/ambit.waypoint.v1.Policy";
/// Routes, for the waypoints of their parents.
pub const WAYPOINT_ROUTE: &str = "type.googleapis.com/ambit.waypoint.v1.Route";
/// A waypoint's own Gateway.
pub const WAYPOINT_GATEWAY: &str = "type.googleapis.com/ambit.waypoint.v1.Gateway";

/// The types, in the order in which changes go out: nobody hears of a workload that names a
/// policy before the policy.
pub fn all(tables: &Tables) -> Vec<Type> {
    let open = |url, table: &Table, on_demand| Type {
        url,
        table: table.clone(),
        on_demand,
        scoped: false,
    };
    let scoped =
        |url, table: &Table| Type { url, table: table.clone(), on_demand: false, scoped: true };
    vec![
        open(AUTHORIZATION, &tables.authorization, false),
        open(ADDRESS, &tables.address, true),
        scoped(WAYPOINT_PROVIDER, &tables.waypoint_providers),
        scoped(WAYPOINT_AUTHENTICATION, &tables.waypoint_authentications),
        scoped(WAYPOINT_POLICY, &tables.waypoint_policies),
        scoped(WAYPOINT_ROUTE, &tables.waypoint_routes),
        scoped(WAYPOINT_GATEWAY, &tables.waypoint_gateways),
    ]
}
