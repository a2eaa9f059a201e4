//! A testbed: nodes joined by a router, pods on their nodes, every one a network namespace.
//!
//! ```text
//!   pod eth0 ─── podN node-a eth0 ─── to-node-a infra to-node-b ─── eth0 node-b podM ─── eth0 pod
//!   10.244.1.2        192.0.2.11      192.0.2.1               192.0.2.12        10.244.2.2
//!   fd00:244:1::2     fd00:2::b       fd00:2::1               fd00:2::c         fd00:244:2::2
//! ```
//!
//! Every link is a veth pair, everything between is routed, IPv4 and IPv6 alike. `infra` is
//! the sandbox's own namespace: control planes and other things that no node runs live
//! there, and the faults of links are injected there. Service addresses (10.96.0.0/16,
//! fd00:96::/112) are routed to it and refused as unreachable: only a mesh answers them.

mod address;
mod node;
mod pod;
mod registry;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use address::{NODE_LIMIT, PODS_PER_NODE_LIMIT, SERVICES_V4, SERVICES_V6};
pub use node::Node;
pub use pod::{Pod, PodSpec};
pub use registry::Registry;

use crate::ip::{self, ConfigError};
use crate::link::Link;
use crate::manifests::{ManifestError, Manifests};
use crate::netns::{Netns, NetnsError};
use crate::process::Command;
use crate::sandbox;

/// The run's private directory, the same path in every run.
pub const RUN_DIR: &str = "/run/bed";
/// The private `/etc/hosts`.
pub(crate) const HOSTS: &str = "/run/bed/hosts";
/// What [`Registry`] is kept in.
pub(crate) const REGISTRY: &str = "/run/bed/registry.json";
/// Name of the sandbox's own network namespace.
pub const INFRA: &str = "infra";

/// Why a testbed could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// Not in a sandbox.
    #[error("a testbed exists only inside a sandbox; use scenario! or sandbox::enter")]
    Outside,
    /// A name that cannot be used.
    #[error("{object} {name:?}: {reason}")]
    Name {
        /// Node or pod.
        object: &'static str,
        /// What was given.
        name: String,
        /// What would be right.
        reason: &'static str,
    },
    /// No address is left.
    #[error("{0} has no address left")]
    Full(String),
    /// A namespace could not be made.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// An address, link or route was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the run could not be written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The machine room of one run. A clone is the same testbed.
#[derive(Debug, Clone)]
pub struct Testbed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    infra: Netns,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<String, Pod>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Numbers for interfaces, never used twice.
    serial: u32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serial(&self) -> u32 {
        let mut state = self.lock();
        state.serial += 1;
        state.serial
    }

    fn save_registry(&self) -> Result<(), BedError> {
        let registry = {
            let state = self.lock();
            Registry::of(state.nodes.values(), state.pods.values())
        };
        let text = serde_json::to_vec_pretty(&registry).map_err(io::Error::from);
        text.and_then(|text| replace(Path::new(REGISTRY), &text))
            .map_err(|source| BedError::File { path: REGISTRY.into(), source })
    }
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, content)?;
    fs::rename(&new, path)
}

impl Testbed {
    /// An empty testbed: the router, no nodes.
    ///
    /// # Errors
    /// `Outside` if this process is not in a sandbox.
    pub fn new() -> Result<Self, BedError> {
        if !sandbox::is_inside() {
            return Err(BedError::Outside);
        }
        let infra = Netns::open(INFRA)?;
        address::prepare(&infra)?;
        ip::batch(INFRA, &address::infra_lines())?;
        Ok(Self { shared: Arc::new(Shared { infra, state: Mutex::default() }) })
    }

    /// Adds a node, such as `node-a`, and its way to the others.
    ///
    /// # Errors
    /// `Name` if it is longer than 12 bytes, not a DNS label or taken; `Full` after
    /// [`NODE_LIMIT`] nodes.
    pub fn node(&self, name: &str) -> Result<Node, BedError> {
        check_label("node", name, 12)?;
        let index = {
            let state = self.shared.lock();
            if state.nodes.contains_key(name) || name == INFRA {
                return Err(taken("node", name));
            }
            state.nodes.len() as u16 + 1
        };
        if index > NODE_LIMIT {
            return Err(BedError::Full("the node network".to_owned()));
        }
        let node = Node::create(name, index)?;
        self.shared.lock().nodes.insert(name.to_owned(), node.clone());
        self.shared.save_registry()?;
        Ok(node)
    }

    /// Adds `node-a`, `node-b` and so on, `count` of them.
    ///
    /// # Errors
    /// As [`Testbed::node`].
    pub fn nodes(&self, count: u8) -> Result<Vec<Node>, BedError> {
        (0..count.min(26)).map(|n| self.node(&format!("node-{}", char::from(b'a' + n)))).collect()
    }

    /// A node by name.
    pub fn find_node(&self, name: &str) -> Option<Node> {
        self.shared.lock().nodes.get(name).cloned()
    }

    /// Adds a pod `namespace/name` on a node, with the next addresses of the node.
    ///
    /// # Errors
    /// `Name` if it is taken or no such node exists; `Full` without a free address.
    pub fn pod(&self, name: &str, node: &Node) -> Result<Pod, BedError> {
        self.pod_with(PodSpec::new(name, node))
    }

    /// Adds a pod whose addresses may be chosen.
    ///
    /// # Errors
    /// As [`Testbed::pod`].
    pub fn pod_with(&self, spec: PodSpec) -> Result<Pod, BedError> {
        let (namespace, name) = spec.name.split_once('/').unwrap_or(("", ""));
        check_label("pod", namespace, 63)?;
        check_label("pod", name, 63)?;
        if self.shared.lock().pods.contains_key(&spec.name) {
            return Err(taken("pod", &spec.name));
        }
        let pod = Pod::create(spec, &self.shared)?;
        self.shared.lock().pods.insert(pod.full_name().to_owned(), pod.clone());
        self.shared.save_registry()?;
        Ok(pod)
    }

    /// A pod by `namespace/name`.
    pub fn find_pod(&self, name: &str) -> Option<Pod> {
        self.shared.lock().pods.get(name).cloned()
    }

    /// The way between two nodes.
    pub fn link(&self, one: &Node, other: &Node) -> Link {
        Link::new(&self.shared.infra, one, other, self.shared.serial())
    }

    /// The infrastructure namespace, for what no node runs.
    pub fn infra(&self) -> &Netns {
        &self.shared.infra
    }

    /// The infrastructure's addresses on the node network: 192.0.2.1 and fd00:2::1.
    pub fn infra_ips(&self) -> [IpAddr; 2] {
        [address::INFRA_V4.into(), address::INFRA_V6.into()]
    }

    /// A program in the infrastructure namespace.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        Command::new(self.shared.infra.clone(), INFRA, program)
    }

    /// Lets every program of the run find `addresses` under `name`, through `/etc/hosts`.
    /// No address takes the name away.
    ///
    /// # Errors
    /// `File` if the hosts file cannot be written.
    pub fn host(&self, name: &str, addresses: &[IpAddr]) -> Result<(), BedError> {
        let mut state = self.shared.lock();
        state.hosts.remove(name);
        if !addresses.is_empty() {
            state.hosts.insert(name.to_owned(), addresses.to_vec());
        }
        let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        for (name, addresses) in &state.hosts {
            for address in addresses {
                text.extend([&address.to_string(), " ", name.as_str(), "\n"]);
            }
        }
        // In place, because the file is bind-mounted over /etc/hosts.
        fs::write(HOSTS, text).map_err(|source| BedError::File { path: HOSTS.into(), source })
    }

    /// A new directory of the run, for an agent's sockets, state and the like.
    ///
    /// # Errors
    /// `File` if it cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf, BedError> {
        let path = Path::new(RUN_DIR).join(name);
        fs::create_dir_all(&path)
            .map_err(|source| BedError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// The directory of Kubernetes YAML of this run, `/run/bed/manifests`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn manifests(&self) -> Result<Manifests, ManifestError> {
        Manifests::open(Path::new(RUN_DIR).join("manifests"))
    }
}

fn taken(object: &'static str, name: &str) -> BedError {
    BedError::Name { object, name: name.to_owned(), reason: "is there already" }
}

/// DNS labels only: the names become files, interfaces and Kubernetes names.
fn check_label(object: &'static str, name: &str, longest: usize) -> Result<(), BedError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.len() <= longest && name.bytes().all(good) {
        return Ok(());
    }
    Err(BedError::Name {
        object,
        name: name.to_owned(),
        reason: "write lower-case letters, digits and hyphens (pods: namespace/name), \
                 a node's at most 12",
    })
}
