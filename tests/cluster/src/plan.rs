//! Names, addresses and folders of a cluster. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Domain of the cluster's names.
pub const DOMAIN: &str = "cluster.local";
/// Addresses of Services.
pub const SERVICES: &str = "10.203.0.0/16,fd00:203::/108";
/// The API server's Service, the first of the range.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 1);
/// CoreDNS.
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 10);
/// Addresses of pods.
pub const PODS: &str = "10.202.0.0/16,fd00:202::/48";
/// The bridge between the nodes, and the API server on it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 1);
/// The same for IPv6.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x201, 0, 0, 0, 0, 0, 1);
/// Port of the API server.
pub const API_PORT: u16 = 6443;

/// What a cluster consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name: of its folder, its cgroups and its run.
    pub name: String,
    /// Names of the nodes, at most 250.
    pub nodes: Vec<String>,
    /// Folder of everything that it writes.
    pub home: PathBuf,
    /// The program `ambit-cluster`, which is the first process of each node.
    pub program: PathBuf,
}

/// The addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    number: u8,
}

impl Plan {
    /// A cluster `name` with nodes `node-a`, `node-b` and so on, in a folder of `target`.
    pub fn new(name: &str, nodes: u8, target: &Path, program: &Path) -> Self {
        let letter = |n: u8| char::from(b'a' + n % 26);
        Self {
            name: name.to_owned(),
            nodes: (0..nodes.min(26)).map(|n| format!("node-{}", letter(n))).collect(),
            home: target.join("cluster").join(name),
            program: program.to_owned(),
        }
    }

    /// The nodes with their addresses.
    pub fn addressed(&self) -> impl Iterator<Item = (&str, Addresses)> {
        self.nodes.iter().zip(1..=250).map(|(name, number)| (name.as_str(), Addresses { number }))
    }

    /// Certificates and keys.
    pub fn certificates(&self) -> PathBuf {
        self.home.join("certificates")
    }

    /// What the programs of the control plane say.
    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// Every call that the API server answered, a line of JSON each.
    pub fn audit(&self) -> PathBuf {
        self.logs().join("audit.jsonl")
    }

    /// What of calls is recorded.
    pub fn audit_policy(&self) -> PathBuf {
        self.home.join("audit.yaml")
    }

    /// The administrator's kubeconfig, for programs inside the sandbox.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.join("admin.kubeconfig")
    }

    /// Everything of one node that outlives its reboot.
    pub fn disk(&self, node: &str) -> PathBuf {
        self.home.join("nodes").join(node)
    }

    /// The cgroup of one node, in every hierarchy.
    pub fn cgroup(&self, node: &str) -> String {
        format!("ambit-{}-{node}", self.name)
    }

    /// Where the API server listens.
    pub fn api(&self) -> String {
        format!("https://{GATEWAY}:{API_PORT}")
    }
}

impl Addresses {
    /// On the bridge.
    pub fn own(self) -> (Ipv4Addr, Ipv6Addr) {
        let last = 10 + self.number;
        let v6 = Ipv6Addr::new(0xfd00, 0x201, 0, 0, 0, 0, 0, u16::from(last));
        (Ipv4Addr::new(10, 201, 0, last), v6)
    }

    /// The subnets of its pods.
    pub fn pods(self) -> (String, String) {
        let n = self.number;
        (format!("10.202.{n}.0/24"), format!("fd00:202:0:{n:x}::/64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_addresses_of_its_own() {
        let plan = Plan::new("test", 3, Path::new("/nowhere"), Path::new("/bin/true"));
        let all: Vec<_> = plan.addressed().collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].0, "node-b");
        assert_eq!(all[1].1.own().0.to_string(), "10.201.0.12");
        assert_eq!(all[1].1.pods().0, "10.202.2.0/24");
        assert_ne!(all[0].1.pods().1, all[2].1.pods().1);
    }
}
