//! Service addresses before there is a mesh: what kube-proxy does on a Kubernetes node.
//!
//! A namespace that is not enrolled needs it; in an enrolled one ztunnel takes a connection
//! before the node sees it. Every service of the shop has one pod behind it.

use std::fmt::Write as _;

use testbed::ip::{self, ConfigError};
use testbed::mesh::{Mesh, MeshPod, MeshService};

/// A service's port and the pod and port behind it.
#[derive(Clone)]
pub(crate) struct Forward {
    pub(crate) service: MeshService,
    pub(crate) port: u16,
    pub(crate) pod: MeshPod,
    pub(crate) target: u16,
}

/// Forwards on every node.
///
/// # Errors
/// If nft(8) refuses.
pub(crate) fn install(mesh: &Mesh, forwards: &[Forward]) -> Result<(), ConfigError> {
    let rules = ruleset(forwards);
    mesh.nodes().try_for_each(|machine| ip::nft(machine.node().name(), &rules))
}

fn ruleset(forwards: &[Forward]) -> String {
    let (mut four, mut six) = (String::new(), String::new());
    for Forward { service, port, pod, target } in forwards {
        // Writing to a string never fails.
        let _ = writeln!(
            four,
            "ip daddr {} tcp dport {port} dnat to {}:{target}",
            service.ip4,
            pod.ip4()
        );
        let _ = writeln!(
            six,
            "ip6 daddr {} tcp dport {port} dnat to [{}]:{target}",
            service.ip6,
            pod.ip6()
        );
    }
    let chain = "chain services {\ntype nat hook prerouting priority -100\n";
    format!(
        "table ip kube_proxy {{\n{chain}{four}}}\n}}\ntable ip6 kube_proxy {{\n{chain}{six}}}\n}}\n"
    )
}
