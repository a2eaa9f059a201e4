//! A node: a namespace that routes for its pods and runs the machine's daemons.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::address::{self, NodeAddresses, PODS_PER_NODE_LIMIT};
use super::{BedError, INFRA};
use crate::ip;
use crate::netns::Netns;
use crate::process::Command;

/// A node of the testbed. A clone is the same node.
#[derive(Debug, Clone)]
pub struct Node {
    netns: Netns,
    addresses: NodeAddresses,
    /// The next pod's host number.
    next: Arc<AtomicU8>,
}

impl Node {
    pub(super) fn create(name: &str, index: u16) -> Result<Self, BedError> {
        let netns = Netns::create(name)?;
        address::prepare(&netns)?;
        let addresses = NodeAddresses::new(index);
        ip::batch(INFRA, &address::infra_to_node_lines(name, addresses))?;
        ip::batch(name, &address::node_lines(addresses))?;
        Ok(Self { netns, addresses, next: Arc::new(AtomicU8::new(2)) })
    }

    /// Its name, which is its Kubernetes name too.
    pub fn name(&self) -> &str {
        self.netns.name()
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its address on the node network.
    pub fn ip4(&self) -> Ipv4Addr {
        self.addresses.ip4
    }

    /// Its address on the node network.
    pub fn ip6(&self) -> Ipv6Addr {
        self.addresses.ip6
    }

    /// Both.
    pub fn ips(&self) -> [IpAddr; 2] {
        [self.ip4().into(), self.ip6().into()]
    }

    /// The network of its pods.
    pub fn pods4(&self) -> String {
        self.addresses.pods4()
    }

    /// The network of its pods.
    pub fn pods6(&self) -> String {
        self.addresses.pods6()
    }

    /// The parts of these networks that are left to waypoints which a node makes itself.
    pub fn waypoints(&self) -> [String; 2] {
        self.addresses.waypoints()
    }

    /// A program in the node's namespace: a ztunnel, a node agent.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        Command::new(self.netns.clone(), self.name(), program)
    }

    pub(super) fn addresses(&self) -> NodeAddresses {
        self.addresses
    }

    pub(super) fn next_pod(&self) -> Result<(Ipv4Addr, Ipv6Addr), BedError> {
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |host| {
                (host < PODS_PER_NODE_LIMIT + 2).then(|| host + 1)
            })
            .map(|host| self.addresses.pod(host))
            .map_err(|_| BedError::Full(self.name().to_owned()))
    }
}
