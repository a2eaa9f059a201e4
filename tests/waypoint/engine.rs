//! An external authorizer of the tests themselves, in a pod, that does what it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hbone::wire::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use hbone::wire::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use hbone::wire::pb::google::rpc::Status as RpcStatus;
use testbed::mesh::MeshPod;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::app;

/// What it does with a question.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Allows at once.
    Allow,
    /// Refuses at once.
    Refuse,
    /// Allows after this time.
    AllowLate(Duration),
    /// Never answers.
    Nothing,
    /// Fails: no decision.
    Fail,
}

/// An engine that serves; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Engine {
    does: Arc<Mutex<Does>>,
    asked: Arc<AtomicUsize>,
}

impl Engine {
    /// Serves in `pod` on port 9000.
    pub(crate) fn serve(pod: &MeshPod) -> anyhow::Result<Self> {
        let engine = Self { does: Arc::new(Mutex::new(Does::Allow)), asked: Arc::default() };
        let incoming = TcpListenerStream::new(app::listen(pod, 9000)?);
        let service = AuthorizationServer::new(engine.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Ok(engine)
    }

    /// Does something else from now on.
    pub(crate) fn now(&self, does: Does) {
        *self.does.lock().unwrap_or_else(PoisonError::into_inner) = does;
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl Authorization for Engine {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let does = *self.does.lock().unwrap_or_else(PoisonError::into_inner);
        let code = match does {
            Does::Allow => 0,
            Does::Refuse => 7,
            Does::AllowLate(after) => {
                tokio::time::sleep(after).await;
                0
            }
            Does::Nothing => std::future::pending().await,
            Does::Fail => return Err(Status::internal("out of order")),
        };
        let status = RpcStatus { code, ..RpcStatus::default() };
        Ok(Response::new(CheckResponse { status: Some(status), ..CheckResponse::default() }))
    }
}
