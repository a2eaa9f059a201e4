//! The dashboards and their API for others than this machine (docs/observe.md, "Access").
//!
//! In the order a request meets them:
//!
//! - [`options`]: the flags; nothing is served unless they ask for it
//! - [`keys`]: certificate, key and authorities of readers, out of files
//! - [`listen`]: the TLS listener, its connections and requests
//! - [`origin`]: whose page has a browser ask
//! - [`door`]: who is let in
//! - [`session`]: browsers that signed in
//! - [`review`]: whose a token is and what he may read, by the API server
//! - [`refusal`]: why somebody is not let in
//! - [`audit`]: what the log and metrics have of it
//! - [`tally`]: how often something happened of late
//! - [`endpoint`]: the Service that leads to the replica that answers

pub mod audit;
pub mod door;
pub mod endpoint;
pub mod keys;
pub mod listen;
pub mod options;
pub mod origin;
pub mod refusal;
pub mod review;
pub mod session;
pub mod tally;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use observe::site::Website;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::audit::Audit;
use self::door::Door;
use self::endpoint::Endpoint;
use self::keys::Keys;
use self::options::Plan;
use self::review::Reviewer;

/// What the dashboards need of the control plane.
pub struct Needs<'a> {
    /// The pages.
    pub site: Arc<Website>,
    /// The API server, if it is the source.
    pub client: Option<kube::Client>,
    /// Whether this replica answers for the mesh.
    pub leading: watch::Receiver<bool>,
    /// What signs for workloads, PEM: no authority of readers.
    pub mesh: String,
    /// The namespace of the control plane.
    pub namespace: &'a str,
}

/// The dashboards, bound.
pub struct Dashboard {
    address: SocketAddr,
    listener: TcpListener,
    keys: Arc<Keys>,
    door: Arc<Door>,
    endpoint: Option<(Endpoint, kube::Client)>,
    leading: watch::Receiver<bool>,
}

impl Dashboard {
    /// Reads the files and binds the address.
    ///
    /// # Errors
    /// If a file cannot be used, or the address is taken.
    pub async fn open(plan: &Plan, needs: Needs<'_>, registry: &mut Registry) -> Result<Self> {
        let audit = Arc::new(Audit::register(registry));
        let keys = Arc::new(Keys::open(plan, &needs.mesh, audit.clone())?);
        let no_client = "tokens are reviewed by an API server, and there is none";
        let reviewer = match &plan.audiences {
            None => None,
            Some(audiences) => {
                let client = needs.client.clone().context(no_client)?;
                Some(Reviewer::new(client, audiences.clone()))
            }
        };
        let bound = TcpListener::bind(plan.listen).await;
        let listener = bound.with_context(|| format!("cannot listen on {}", plan.listen))?;
        let address = listener.local_addr()?;
        let endpoint = match (&plan.service, needs.client) {
            (Some(service), Some(client)) => {
                let endpoint = Endpoint {
                    namespace: needs.namespace.to_owned(),
                    service: service.clone(),
                    addresses: own_addresses()?,
                    port: address.port(),
                };
                Some((endpoint, client))
            }
            _ => None,
        };
        let leading = needs.leading;
        let door = Arc::new(Door::new(needs.site, reviewer, audit, leading.clone()));
        info!(
            %address,
            certificates = plan.client_ca.is_some(),
            tokens = plan.audiences.is_some(),
            "the dashboards are served beyond this machine"
        );
        Ok(Self { address, listener, keys, door, endpoint, leading })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub fn start(self, stop: CancellationToken) -> Vec<JoinHandle<()>> {
        let mut tasks = vec![
            tokio::spawn(self.keys.clone().follow()),
            tokio::spawn(listen::run(self.listener, self.keys, self.door, stop)),
        ];
        let leading = self.leading;
        tasks.extend(
            self.endpoint.map(|(endpoint, client)| tokio::spawn(endpoint.keep(client, leading))),
        );
        tasks
    }
}

/// What the pod's own variable says of it.
fn own_addresses() -> Result<Vec<IpAddr>> {
    let wrong = "--dashboard-service needs the variable POD_IPS: the pod's addresses, separated by \
                 commas, from the field status.podIPs";
    let text = std::env::var("POD_IPS").ok().context(wrong)?;
    let addresses: Option<Vec<IpAddr>> = text.split(',').map(|ip| ip.trim().parse().ok()).collect();
    addresses.context(wrong)
}
