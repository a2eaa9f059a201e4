//! A real Kubernetes cluster on one machine, for tests and for `./dev cluster`.
//!
//! ```text
//! sandbox ─ etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//!    │      bridge 10.201.0.1, fd00:201::1
//!    ├── node-a: own PID, mount, UTS and network namespaces
//!    │           containerd, kubelet, kube-proxy; pods in 10.202.1.0/24, fd00:202:1::/64
//!    └── node-b: the same in 10.202.2.0/24, fd00:202:2::/64
//! ```
//!
//! Nothing is simulated: the programs are built from their Go modules (folder `programs`), and
//! containers are runc's. Everything runs inside a sandbox of the testbed, so that ending its
//! first process removes the cluster.

pub mod ambit;
pub mod audit;
pub mod binaries;
pub mod certificates;
pub mod control_plane;
pub mod folders;
pub mod image;
pub mod kubectl;
pub mod network;
pub mod node;
pub mod node_init;
pub mod outside;
pub mod owner;
pub mod plan;
pub mod service;

mod cluster;

pub use cluster::{Cluster, control_plane};
