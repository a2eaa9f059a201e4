//! What is known of a tunnel before its first byte.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::matching::Caller;
use hbone::wire::workload::Workload;

use crate::account::Account;
use crate::config::policy::PolicyInput;
use crate::config::snapshot::Snapshot;
use crate::config::view::RequestView;
use crate::directory::Target;
use crate::record::SeriesOfTunnel;
use crate::token::Bearer;

/// A tunnel that was accepted: who calls, from where, and what.
#[derive(Debug)]
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
    /// What the caller uses of the waypoint.
    pub account: Arc<Account>,
    /// Metrics of its requests.
    pub series: SeriesOfTunnel,
}

impl Inbound {
    /// What the policies of `snapshot` decide on; `bearer` is whose token the request carries.
    pub fn policy_input<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        request: Option<RequestView<'a>>,
        bearer: Option<&'a Bearer>,
    ) -> PolicyInput<'a> {
        PolicyInput {
            caller: &self.caller,
            trust_domains: snapshot.gateway.as_ref().map_or(&[], |g| &g.trust_domains),
            source: self.client.ip(),
            destination: self.target.address(),
            request,
            bearer,
        }
    }
}
