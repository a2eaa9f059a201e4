//! Proxies call here, and are asked on the stream of their call.

use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use observe::fleet::{Attached, Attachment, Fleet};
use observe::pb::fleet_service_server::FleetService;
use observe::pb::{FromProxy, Hello, Origin, ToProxy, from_proxy, to_proxy};
use observe::recorder::Happened;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::{debug, info, warn};

use crate::auth::{Authenticator, Caller, Role};
use crate::limits;
use crate::model::world::World;
use crate::sync;
use crate::translate::waypoint::{GATEWAY_NAME, is_waypoint_pod};

/// Messages to a proxy that wait.
const QUEUE: usize = 16;
/// How long a proxy may keep a message waiting before its call is ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service.
#[derive(Debug)]
pub struct FleetCalls {
    /// Who is asked.
    pub fleet: Fleet,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// The pods.
    pub world: Arc<RwLock<World>>,
    /// Whether this replica is the one that answers; proxies look for that one.
    pub leading: watch::Receiver<bool>,
}

impl FleetCalls {
    /// Who the proxy is, by its credential; what it says of itself counts only where nobody
    /// could gain by it.
    fn origin(&self, caller: &Caller, hello: Hello) -> Result<Origin, Status> {
        let said = hello.origin.unwrap_or_default();
        let node = caller.node.clone();
        match &caller.role {
            Role::Node => Ok(Origin {
                kind: "ztunnel".to_owned(),
                namespace: String::new(),
                gateway: String::new(),
                node,
                ..said
            }),
            Role::Pod { pod, .. } => {
                let world = sync::read(&self.world);
                let found = world.pod(pod).filter(|pod| is_waypoint_pod(pod));
                let gateway = found.and_then(|pod| pod.meta.label(GATEWAY_NAME));
                let gateway = gateway.ok_or_else(|| {
                    Status::permission_denied(format!("pod {pod} is no waypoint's"))
                })?;
                Ok(Origin {
                    node,
                    kind: "waypoint".to_owned(),
                    name: pod.name.clone(),
                    namespace: pod.namespace.clone(),
                    gateway: gateway.to_owned(),
                    ..said
                })
            }
        }
    }
}

#[async_trait]
impl FleetService for FleetCalls {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ToProxy, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromProxy>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let caller = self.authenticator.authenticate(request.metadata()).await;
        let caller = caller.map_err(|error| {
            warn!(%error, "proxy refused: caller not authenticated");
            error.status()
        })?;
        if !*self.leading.borrow() {
            return Err(Status::unavailable("another replica answers for the fleet"));
        }
        let mut said = request.into_inner();
        let first = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, said.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no first message"))??;
        let Some(from_proxy::Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be a Hello"));
        };
        let origin = self.origin(&caller, hello)?;
        let (attached, attachment) = self
            .fleet
            .attach(origin)
            .map_err(|full| Status::resource_exhausted(full.to_string()))?;
        info!(%caller, "proxy can be asked");
        let questions = attached.to_send().ok_or_else(|| Status::internal("asked twice"))?;
        let (to_proxy, stream) = mpsc::channel(QUEUE);
        let fleet = self.fleet.clone();
        tokio::spawn(ask(Arc::clone(&attached), questions, to_proxy, self.leading.clone()));
        tokio::spawn(hear(fleet, attached, attachment, said));
        Ok(Response::new(ReceiverStream::new(stream).map(Ok).boxed()))
    }
}

/// Sends questions, and whether to follow, until the proxy is gone or another replica leads.
async fn ask(
    attached: Arc<Attached>,
    mut questions: mpsc::Receiver<ToProxy>,
    to_proxy: mpsc::Sender<ToProxy>,
    mut leading: watch::Receiver<bool>,
) {
    let mut follow = attached.follow();
    follow.mark_changed();
    loop {
        let message = tokio::select! {
            () = to_proxy.closed() => return,
            () = lost(&mut leading) => return,
            question = questions.recv() => match question {
                Some(question) => question,
                None => return,
            },
            changed = follow.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = *follow.borrow_and_update();
                ToProxy { message: Some(to_proxy::Message::Follow(wanted)) }
            }
        };
        if to_proxy.send_timeout(message, PATIENCE).await.is_err() {
            debug!(node = attached.origin().node, "a proxy reads no questions; its call ends");
            return;
        }
    }
}

/// Completes when another replica leads; never where there is only this one.
async fn lost(leading: &mut watch::Receiver<bool>) {
    if leading.wait_for(|leads| !leads).await.is_err() {
        std::future::pending().await
    }
}

/// Hears answers until the proxy's call ends.
async fn hear(
    fleet: Fleet,
    attached: Arc<Attached>,
    attachment: Attachment,
    mut said: Streaming<FromProxy>,
) {
    while let Ok(Some(message)) = said.message().await {
        match message.message {
            Some(from_proxy::Message::Reply(reply)) => attached.replied(reply),
            Some(from_proxy::Message::Incident(incident)) => {
                if let Some(incident) = attached.checked(incident) {
                    fleet.happened(Happened::Incident(Arc::new(incident)));
                }
            }
            Some(from_proxy::Message::Event(mut event)) => {
                event.node.clone_from(&attached.origin().node);
                fleet.happened(Happened::Event(Arc::new(event)));
            }
            Some(from_proxy::Message::Hello(_)) | None => {}
        }
    }
    drop(attachment);
}
