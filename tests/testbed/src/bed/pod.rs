//! A pod: a namespace with one address of each family, where programs run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{BedError, Node, Shared, address};
use crate::ip;
use crate::netns::Netns;
use crate::process::Command;

/// How long the processes of a removed pod may take to die of SIGKILL.
const DIES_WITHIN: Duration = Duration::from_secs(5);

/// What a pod is to be.
#[derive(Debug, Clone)]
pub struct PodSpec {
    pub(super) name: String,
    node: Node,
    ip4: Option<Ipv4Addr>,
    ip6: Option<Ipv6Addr>,
}

impl PodSpec {
    /// A pod `namespace/name` on a node.
    pub fn new(name: &str, node: &Node) -> Self {
        Self { name: name.to_owned(), node: node.clone(), ip4: None, ip6: None }
    }

    /// With this address, which must be in the node's pod network and free.
    #[must_use]
    pub fn ip4(mut self, address: Ipv4Addr) -> Self {
        self.ip4 = Some(address);
        self
    }

    /// With this address, which must be in the node's pod network and free.
    #[must_use]
    pub fn ip6(mut self, address: Ipv6Addr) -> Self {
        self.ip6 = Some(address);
        self
    }
}

/// A pod of the testbed. A clone is the same pod; dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Pod {
    name: String,
    uid: String,
    node: Node,
    netns: Netns,
    device: String,
    addresses: (Ipv4Addr, Ipv6Addr),
    bed: Weak<Shared>,
}

impl Pod {
    pub(super) fn create(spec: PodSpec, bed: &Arc<Shared>) -> Result<Self, BedError> {
        let PodSpec { name, node, ip4, ip6 } = spec;
        let next = match (ip4, ip6) {
            (Some(ip4), Some(ip6)) => (ip4, ip6),
            _ => node.next_pod()?,
        };
        let addresses = (ip4.unwrap_or(next.0), ip6.unwrap_or(next.1));
        let device = format!("pod{}", bed.serial());
        // A pod that replaces one of the same name gets a namespace file of its own.
        let netns = Netns::create(&format!("{}-{device}", name.replace('/', ".")))?;
        address::prepare_pod(&netns)?;
        let lines = address::node_to_pod_lines(&device, netns.name(), node.addresses(), addresses);
        ip::batch(node.name(), &lines)?;
        ip::batch(netns.name(), &address::pod_lines(node.addresses(), addresses))?;
        let bed = Arc::downgrade(bed);
        Ok(Self { uid: new_uid(), name, node, netns, device, addresses, bed })
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> &str {
        &self.name
    }

    /// Its Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        self.name.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Its name in that namespace.
    pub fn name(&self) -> &str {
        self.name.split_once('/').map_or("", |(_, name)| name)
    }

    /// Its Kubernetes UID, new for every pod.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The node it is on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its address.
    pub fn ip4(&self) -> Ipv4Addr {
        self.addresses.0
    }

    /// Its address.
    pub fn ip6(&self) -> Ipv6Addr {
        self.addresses.1
    }

    /// Both, IPv4 first as in `status.podIPs` of a dual-stack cluster.
    pub fn ips(&self) -> [IpAddr; 2] {
        [self.ip4().into(), self.ip6().into()]
    }

    /// A program in the pod.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        Command::new(self.netns.clone(), &self.name.replace('/', "."), program)
    }

    /// Deletes the pod: its processes are killed, its link and namespace go. Its manifest is
    /// another matter. A second call does nothing.
    ///
    /// # Errors
    /// If the link or namespace cannot be removed.
    pub async fn remove(&self) -> Result<(), BedError> {
        let Some(bed) = self.bed.upgrade() else { return Ok(()) };
        {
            let mut state = bed.lock();
            if state.pods.get(&self.name).is_none_or(|pod| pod.uid != self.uid) {
                return Ok(());
            }
            state.pods.remove(&self.name);
        }
        let gone =
            crate::eventually("the processes of a removed pod end", DIES_WITHIN, async || {
                let left = self.netns.processes();
                for pid in &left {
                    let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
                }
                left.is_empty()
            });
        if let Err(error) = gone.await {
            tracing::warn!(pod = %self.name, %error, "pod removed with processes in it");
        }
        ip::batch(self.node.name(), &format!("link del {}\n", self.device))?;
        self.netns.remove()?;
        bed.save_registry()
    }
}

/// A random UUID, version 4.
fn new_uid() -> String {
    let bits = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
