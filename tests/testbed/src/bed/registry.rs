//! What a run consists of, written where other processes can read it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{INFRA, Node, Pod};

/// The nodes and pods of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// By name.
    pub nodes: Vec<Entry>,
    /// By `namespace/name`.
    pub pods: Vec<Entry>,
}

/// A node or pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// A node's name, or a pod's `namespace/name`.
    pub name: String,
    /// The node a pod is on; a node's own name.
    pub node: String,
    /// Its network namespace's name in `/run/netns`.
    pub netns: String,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
}

impl Registry {
    pub(super) fn of<'a>(
        nodes: impl Iterator<Item = &'a Node>,
        pods: impl Iterator<Item = &'a Pod>,
    ) -> Self {
        let node = |node: &Node| Entry {
            name: node.name().to_owned(),
            node: node.name().to_owned(),
            netns: node.netns().name().to_owned(),
            ips: node.ips().to_vec(),
        };
        let pod = |pod: &Pod| Entry {
            name: pod.full_name().to_owned(),
            node: pod.node().name().to_owned(),
            netns: pod.netns().name().to_owned(),
            ips: pod.ips().to_vec(),
        };
        Self { nodes: nodes.map(node).collect(), pods: pods.map(pod).collect() }
    }

    /// The network namespace of a pod (by `namespace/name`, or a name only one pod has), of a
    /// node, or of `infra`.
    pub fn namespace_of(&self, place: &str) -> Option<&str> {
        if place == INFRA {
            return Some(INFRA);
        }
        let exact = self.nodes.iter().chain(&self.pods).find(|entry| entry.name == place);
        exact.or_else(|| self.only_pod(place)).map(|entry| entry.netns.as_str())
    }

    fn only_pod(&self, short: &str) -> Option<&Entry> {
        let mut same = self
            .pods
            .iter()
            .filter(|pod| pod.name.split_once('/').is_some_and(|(_, name)| name == short));
        same.next().filter(|_| same.next().is_none())
    }

    /// What [`Registry::namespace_of`] finds.
    pub fn places(&self) -> Vec<String> {
        let names = self.pods.iter().chain(&self.nodes).map(|entry| entry.name.clone());
        names.chain([INFRA.to_owned()]).collect()
    }
}
