//! What is known of a tunnel before its first byte.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::matching::Caller;
use hbone::wire::workload::Workload;

use crate::config::policy::PolicyInput;
use crate::config::view::RequestView;
use crate::directory::Target;

/// A tunnel that was accepted: who calls, from where, and what.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The identity of the tunnel's certificate.
    pub peer: SpiffeId,
    /// The same in the forms that policies compare.
    pub caller: Caller,
    /// The client's address: what the node proxy forwarded, or the peer itself.
    pub client: SocketAddr,
    /// The workload with that address, for telemetry only.
    pub source: Option<Arc<Workload>>,
    /// What was addressed.
    pub target: Target,
}

impl Inbound {
    /// What policies decide on.
    pub fn policy_input<'a>(&'a self, request: Option<RequestView<'a>>) -> PolicyInput<'a> {
        PolicyInput {
            caller: &self.caller,
            source: self.client.ip(),
            destination: self.target.address(),
            request,
        }
    }
}
