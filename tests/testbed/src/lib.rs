//! Nodes and pods as network namespaces, with real processes, captures and faults.
//!
//! One run lives in one sandbox: new PID, mount and network namespaces whose first process
//! takes everything with it when it ends. In the order in which a scenario meets them:
//!
//! - [`sandbox`]: the first process, private `/proc` and `/run`; [`runs`] finds and enters
//!   running sandboxes from outside
//! - [`scenario`]: a test function that runs inside a sandbox of its own
//! - [`bed`]: the machine room: [`Testbed`], [`Node`], [`Pod`], addresses and routes
//! - [`netns`], [`ip`]: network namespaces and their configuration
//! - [`process`]: programs inside a namespace, their logs, signals and deadlines
//! - [`announce`]: the CNI call that tells a node agent of a new pod
//! - [`manifests`]: a directory of Kubernetes YAML, changed atomically
//! - [`link`]: the way between two nodes, with its faults; [`shaper`] delays and reorders
//! - [`pattern`]: bytes that tell a lost or changed one, for the programs `bed-echo` and `bed-load`
//! - [`capture`]: what was on the wire, and assertions about it
//! - [`mesh`]: a whole mesh on it: control plane, node agents, proxies, pods, services
//! - [`wait`]: bounded waits on a condition

pub mod announce;
pub mod bed;
pub mod capture;
pub mod ip;
pub mod link;
pub mod manifests;
pub mod mesh;
pub mod netns;
pub mod pattern;
pub mod process;
pub mod runs;
pub mod sandbox;
pub mod scenario;
pub mod shaper;
pub mod tun;
pub mod wait;

pub use bed::{Node, Pod, PodSpec, Testbed};
pub use capture::Capture;
pub use link::Link;
pub use manifests::Manifests;
pub use mesh::{Mesh, MeshPod};
pub use process::{Command, Finished, Process};
pub use runs::{enter, runs};
pub use wait::eventually;
