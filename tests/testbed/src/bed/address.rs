//! The address plan, and the lines that bring it up.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::netns::{Netns, NetnsError};

/// Addresses of services, which only a mesh answers.
pub const SERVICES_V4: &str = "10.96.0.0/16";
/// Addresses of services, which only a mesh answers.
pub const SERVICES_V6: &str = "fd00:96::/112";
/// Nodes in one testbed.
pub const NODE_LIMIT: u16 = 100;
/// Pods on one node, ever.
pub const PODS_PER_NODE_LIMIT: u8 = 230;

pub(super) const INFRA_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const INFRA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1);
/// The gateway of every link towards the middle, and the other end of it.
const UP: &str = "fe80::1";
const DOWN: &str = "fe80::2";

/// What a node with this number has.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeAddresses {
    pub(super) ip4: Ipv4Addr,
    pub(super) ip6: Ipv6Addr,
    index: u16,
}

impl NodeAddresses {
    /// `index` is 1 to [`NODE_LIMIT`].
    pub(super) fn new(index: u16) -> Self {
        let host = index + 10;
        Self {
            ip4: Ipv4Addr::new(192, 0, 2, host as u8),
            ip6: Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, host),
            index,
        }
    }

    pub(super) fn pods4(self) -> String {
        format!("10.244.{}.0/24", self.index)
    }

    pub(super) fn pods6(self) -> String {
        format!("fd00:244:{:x}::/64", self.index)
    }

    /// What of these networks no pod of the testbed ever has.
    pub(super) fn waypoints(self) -> [String; 2] {
        let index = self.index;
        [format!("10.244.{index}.240/28"), format!("fd00:244:{index:x}::ffff:0/112")]
    }

    /// The node's end of every pod link.
    fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.index as u8, 1)
    }

    pub(super) fn pod(self, host: u8) -> (Ipv4Addr, Ipv6Addr) {
        let ip4 = Ipv4Addr::new(10, 244, self.index as u8, host);
        (ip4, Ipv6Addr::new(0xfd00, 0x244, self.index, 0, 0, 0, 0, host.into()))
    }
}

/// Forwarding on, reverse path filters off, IPv6 addresses usable at once.
pub(super) fn prepare(namespace: &Netns) -> Result<(), NetnsError> {
    namespace.sysctl(&[
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv6/conf/all/forwarding", "1"),
        ("ipv6/conf/default/forwarding", "1"),
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
    ])
}

/// A pod is a host and not a router.
pub(super) fn prepare_pod(namespace: &Netns) -> Result<(), NetnsError> {
    namespace.sysctl(&[
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
    ])
}

pub(super) fn infra_lines() -> String {
    format!(
        "addr add {INFRA_V4}/32 dev lo\n\
         addr add {INFRA_V6}/128 dev lo nodad\n\
         route add unreachable {SERVICES_V4}\n\
         route add unreachable {SERVICES_V6}\n"
    )
}

/// In `infra`: the link to a node and what lies behind it.
pub(super) fn infra_to_node_lines(name: &str, node: NodeAddresses) -> String {
    let (ip4, ip6, pods4, pods6) = (node.ip4, node.ip6, node.pods4(), node.pods6());
    format!(
        "link add to-{name} type veth peer name eth0 netns {name}\n\
         addr add {UP}/64 dev to-{name} nodad\n\
         link set to-{name} up\n\
         route add {ip4}/32 dev to-{name} src {INFRA_V4}\n\
         route add {pods4} via {ip4} dev to-{name} onlink src {INFRA_V4}\n\
         route add {ip6}/128 via {DOWN} dev to-{name} src {INFRA_V6}\n\
         route add {pods6} via {DOWN} dev to-{name} src {INFRA_V6}\n"
    )
}

/// In a node: its end of that link.
pub(super) fn node_lines(node: NodeAddresses) -> String {
    let (ip4, ip6) = (node.ip4, node.ip6);
    format!(
        "link set lo up\n\
         addr add {ip4}/32 dev eth0\n\
         addr add {ip6}/128 dev eth0 nodad\n\
         addr add {DOWN}/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add {INFRA_V4}/32 dev eth0 scope link\n\
         route add default via {INFRA_V4} dev eth0 src {ip4}\n\
         route add default via {UP} dev eth0 src {ip6}\n"
    )
}

/// In a node: the link to a pod.
pub(super) fn node_to_pod_lines(
    device: &str,
    namespace: &str,
    node: NodeAddresses,
    (ip4, ip6): (Ipv4Addr, Ipv6Addr),
) -> String {
    let gateway = node.gateway();
    format!(
        "link add {device} type veth peer name eth0 netns {namespace}\n\
         addr add {gateway}/32 dev {device}\n\
         addr add {UP}/64 dev {device} nodad\n\
         link set {device} up\n\
         route add {ip4}/32 dev {device} src {gateway}\n\
         route add {ip6}/128 dev {device}\n"
    )
}

/// In a pod: its end of that link.
pub(super) fn pod_lines(node: NodeAddresses, (ip4, ip6): (Ipv4Addr, Ipv6Addr)) -> String {
    let gateway = node.gateway();
    format!(
        "link set lo up\n\
         addr add {ip4}/32 dev eth0\n\
         addr add {ip6}/128 dev eth0 nodad\n\
         link set eth0 up\n\
         route add {gateway}/32 dev eth0 scope link\n\
         route add default via {gateway} dev eth0\n\
         route add default via {UP} dev eth0\n"
    )
}
