//! The node service.

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use hbone::wire::pb::ambit::node::v1 as pb;
use hbone::wire::pb::ambit::node::v1::node_service_server::NodeService;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::{error, info, warn};

use super::watch::{FromNode, Stream};
use crate::auth::credential::{Credential, CredentialError, Issuer};
use crate::auth::{Authenticator, Caller, Role, refusal, tokens};
use crate::engine::Tables;
use crate::limits;
use crate::model::object::Key;
use crate::model::world::World;
use crate::state::StateDir;
use crate::status::Board;
use crate::sync;

/// The service.
#[derive(Debug)]
pub struct Nodes {
    /// Where join tokens are.
    pub state: StateDir,
    /// Makes credentials.
    pub issuer: Arc<Issuer>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// The pods.
    pub world: Arc<RwLock<World>>,
    /// The pods as machines hear of them.
    pub tables: Tables,
    /// Whether there is a state to serve.
    pub board: Board,
    /// Where reports go.
    pub reports: mpsc::Sender<FromNode>,
    /// Streams open at once.
    pub streams: Arc<Semaphore>,
}

/// Refused attempts to join are answered late, so that guessing is slow.
const PENALTY: Duration = Duration::from_millis(200);

impl Nodes {
    /// The machine that calls.
    async fn node(&self, metadata: &MetadataMap) -> Result<Caller, Status> {
        let caller = self.authenticator.authenticate(metadata).await;
        let caller = caller.map_err(|error| {
            warn!(%error, "node refused: caller not authenticated");
            error.status()
        })?;
        match caller.role {
            Role::Node => Ok(caller),
            Role::Pod { .. } => {
                warn!(%caller, "node refused: the credential is a pod's");
                Err(refusal())
            }
        }
    }
}

#[async_trait]
impl NodeService for Nodes {
    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let pb::JoinRequest { token, node } = request.into_inner();
        let (state, name) = (self.state.clone(), node.clone());
        let redeemed = tokio::task::spawn_blocking(move || {
            tokens::redeem(&state, &token, &name, SystemTime::now())
        });
        match redeemed.await {
            Ok(Ok(())) => {
                info!(node, "node joined");
                hand_out(self.issuer.node(&node, SystemTime::now()))
            }
            Ok(Err(reason)) => {
                let node: String = node.chars().take(253).collect();
                warn!(node, %reason, "join refused");
                tokio::time::sleep(PENALTY).await;
                Err(refusal())
            }
            Err(_) => Err(Status::unavailable("the control plane is closing")),
        }
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let caller = self.node(request.metadata()).await?;
        hand_out(self.issuer.node(&caller.node, SystemTime::now()))
    }

    async fn pod_credential(
        &self,
        request: Request<pb::PodCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let caller = self.node(request.metadata()).await?;
        let asked = request.into_inner();
        let key = Key::new(&asked.namespace, &asked.name);
        let pod = {
            let world = sync::read(&self.world);
            let pod = world
                .pod(&key)
                .filter(|p| p.node == caller.node && p.uid == asked.uid && !p.terminated);
            pod.cloned()
        };
        let Some(pod) = pod else {
            let shown: String = key.to_string().chars().take(300).collect();
            warn!(%caller, pod = shown, "pod credential refused: no such pod on the node");
            return Err(refusal());
        };
        info!(%caller, pod = %key, "pod credential issued");
        hand_out(self.issuer.pod(&pod, SystemTime::now()))
    }

    type WatchStream = ReceiverStream<Result<pb::NodeUpdate, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::NodeReport>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = self.node(request.metadata()).await?;
        // Never a snapshot without pods because none was read yet.
        if !self.board.synced() {
            return Err(Status::unavailable("the source has not been read yet"));
        }
        let permit = self.streams.clone().try_acquire_owned();
        let permit =
            permit.map_err(|_| Status::resource_exhausted("MAX_STREAMS node streams are open"))?;
        let (sink, updates) = mpsc::channel(limits::SEND_QUEUE);
        let stream = Stream {
            node: caller.node,
            table: self.tables.node_pods.clone(),
            bell: self.tables.bell(),
            incoming: request.into_inner(),
            sink,
            reports: self.reports.clone(),
        };
        tokio::spawn(async move {
            stream.run().await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(updates)))
    }
}

fn hand_out(made: Result<Credential, CredentialError>) -> Result<Response<pb::Credential>, Status> {
    match made {
        Ok(Credential { token, expires }) => Ok(Response::new(pb::Credential { token, expires })),
        Err(error) => {
            error!(%error, "credential not made");
            Err(Status::internal("no credential can be made"))
        }
    }
}
