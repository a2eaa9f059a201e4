//! The one prefix of ours: labels, annotations, API group, type URLs and metrics that no
//! standard names start with it, and it is written only here.

/// API group and prefix of labels and annotations, without the slash.
pub const GROUP: &str = "ambit.dev";

/// Prefix of the metrics that no contract names.
pub const METRIC_PREFIX: &str = "ambit";

/// Before the path of a page, in the rights of Kubernetes that let somebody read it. Without it
/// a page would be below `/api/`, which Kubernetes lets everybody read who is known to it.
pub const RIGHTS: &str = "/ambit.dev";

/// Condition of a Pod: what its node says of its enrolment.
pub const ENROLLED: &str = "ambit.dev/Enrolled";

/// Condition of a Service: false while nothing stands behind it.
pub const ENDPOINTS: &str = "ambit.dev/Endpoints";

/// Condition of a ServiceEntry: false where another object of its namespace has a host of it.
pub const HOSTS: &str = "ambit.dev/Hosts";

/// Condition of a ServiceEntry: false where no address is left for a host.
pub const ADDRESSES: &str = "ambit.dev/Addresses";

/// Condition of an object without another for it: false while it is not in force as it is
/// written.
pub const ACCEPTED: &str = "ambit.dev/Accepted";

/// Begins the names of the policies that keep callers from walking around a waypoint. No
/// object of Kubernetes can have a name with `_`.
pub const GUARD_PREFIX: &str = "ambit_waypoint_";

/// Gauge of the node agent: pods by state of enrolment.
pub const NODE_PODS: &str = "ambit_node_pods";

/// Gauge of the node agent: open connections that are older than the enrolment of their pods.
pub const NODE_OLDER_CONNECTIONS: &str = "ambit_node_older_connections";

/// The class of a Gateway for which Ambit runs a waypoint.
pub const WAYPOINT_CLASS: &str = "ambit-waypoint";

/// The controller that owns [`WAYPOINT_CLASS`].
pub const WAYPOINT_CONTROLLER: &str = "ambit.dev/waypoint";

/// On a Gateway of [`WAYPOINT_CLASS`]: how many instances run, 1 to 16; 2 without it.
pub const WAYPOINT_REPLICAS: &str = "ambit.dev/replicas";

/// On a Namespace: the name of a waypoint that is made in it and serves it, in a cluster.
pub const NAMESPACE_WAYPOINT: &str = "ambit.dev/waypoint";

/// On a Gateway that was made for [`NAMESPACE_WAYPOINT`]: `true`; it goes with that label.
pub const MADE_FOR_NAMESPACE: &str = "ambit.dev/made-for-namespace";

/// On a Node: blocks of addresses, separated by commas, that Ambit alone gives to waypoints
/// there, such as `10.1.0.240/28,fd00:1::f0/124`. The network routes them to the node.
pub const WAYPOINT_ADDRESSES: &str = "ambit.dev/waypoint-addresses";

/// On a Service: `true` lets callers reach its pods without its waypoint. Whatever the
/// waypoint enforces can then be walked around.
pub const ALLOW_WAYPOINT_BYPASS: &str = "ambit.dev/allow-waypoint-bypass";
