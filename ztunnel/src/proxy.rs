//! The data path of a pod: three listeners, and what becomes of each connection.
//!
//! - [`Pod`]: a pod that we serve: its sockets, pool, limits and end
//! - `listener`: takes connections, within the pod's limits
//! - `handshakes`: how many a pod, and one client, may have under way
//! - `outbound` (15001), `inbound` (15008), `plaintext` (15006): a file per listener
//! - `application`: dialling the pod's own program, which takes a permit
//! - `watch`: closes a connection when its permit no longer holds
//! - `failure`: why a connection failed, and what metrics call it
//! - [`Live`]: what is open, for people

mod application;
mod failure;
mod handshakes;
mod inbound;
mod listener;
mod live;
mod outbound;
mod plaintext;
mod pod;
#[cfg(test)]
mod sizes;
mod watch;

use std::sync::Arc;

use hbone::netns::Netns;
use hbone::resolve::Resolver;
use hbone::tunnel::PoolMetrics;

use crate::cert::Certificates;
use crate::config::Config;
use crate::decide::OwnPorts;
use crate::record::ConnectionMetrics;
use crate::state::State;

pub use live::{Live, LiveConnection};
pub use pod::{Pod, StartError};

/// Outbound capture.
pub const OUTBOUND_PORT: u16 = 15001;
/// Inbound plaintext capture.
pub const PLAINTEXT_PORT: u16 = 15006;
/// HBONE.
pub const HBONE_PORT: u16 = hbone::tunnel::HBONE_PORT;

/// What all pods share.
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The mesh as we know it.
    pub state: Arc<State>,
    /// A certificate for each identity of this node.
    pub certificates: Arc<Certificates>,
    /// Counters of connections.
    pub metrics: Arc<ConnectionMetrics>,
    /// Counters of pools.
    pub pools: PoolMetrics,
    /// Addresses of host names, as this machine has them.
    pub resolver: Resolver,
    /// The namespace of our own threads.
    pub home: Arc<Netns>,
    /// Ports that nothing is sent to.
    pub own_ports: OwnPorts,
    /// Where data is moved: nothing else runs there.
    pub data: tokio::runtime::Handle,
}
