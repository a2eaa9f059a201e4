//! What the operator sets for all waypoints of a cluster.

use clap::Args;
use serde::Serialize;

/// The options.
#[derive(Clone, Debug, Args, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// The image of waypoints, with the program `waypoint` as its entry point. Without it,
    /// Gateways get nothing, and say so. Used with --kubernetes.
    #[arg(long, env = "WAYPOINT_IMAGE", default_value = "")]
    pub waypoint_image: String,

    /// When nodes fetch that image: Always, IfNotPresent or Never.
    #[arg(long, env = "WAYPOINT_PULL_POLICY", default_value = "IfNotPresent")]
    pub waypoint_pull_policy: String,

    /// Where waypoints find this control plane; without it,
    /// `https://istiod.<system namespace>.svc:15012`.
    #[arg(long, env = "WAYPOINT_CONTROL", default_value = "")]
    pub waypoint_control: String,

    /// Serve Gateways of class istio-waypoint too. Only where no other control plane does.
    #[arg(long, env = "ISTIO_WAYPOINT_CLASS")]
    pub istio_waypoint_class: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            waypoint_image: String::new(),
            waypoint_pull_policy: "IfNotPresent".to_owned(),
            waypoint_control: String::new(),
            istio_waypoint_class: false,
        }
    }
}
