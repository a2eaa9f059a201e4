//! A policy engine: answers a proxy's `ext_authz` questions from a file of relationships.
//!
//! docs/wire.md, "External authorization".

mod relations;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hbone::wire::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use hbone::wire::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use hbone::wire::pb::envoy::service::auth::v3::check_response::HttpResponse;
use hbone::wire::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use hbone::wire::pb::envoy::r#type::v3::HttpStatus;
use hbone::wire::pb::google::rpc::Status as RpcStatus;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

pub use relations::{RelationError, Relations, Verdict};

/// Header that carries the relationship that allowed, or the reason of a refusal.
pub const REASON: &str = "x-shop-relation";
/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(200);
/// gRPC's number for a refusal.
const PERMISSION_DENIED: i32 = 7;

/// The engine: the relationships in force.
#[derive(Debug, Clone)]
pub struct Engine {
    relations: watch::Receiver<Arc<Relations>>,
}

impl Engine {
    /// An engine that decides by what the channel holds.
    pub fn new(relations: watch::Receiver<Arc<Relations>>) -> Self {
        Self { relations }
    }
}

/// Serves on `listen` by the relationships in `file`, which is read again when it changes.
///
/// # Errors
/// If the file cannot be read at the start, or the address is taken. A later file that is
/// wrong leaves the last good one in force.
pub async fn serve(listen: SocketAddr, file: PathBuf) -> anyhow::Result<()> {
    let text = relations::load(&file)?;
    let (sender, receiver) = watch::channel(Arc::new(Relations::parse(&text)?));
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(%listen, file = %file.display(), "policy engine ready");
    let server = tonic::transport::Server::builder()
        .add_service(AuthorizationServer::new(Engine::new(receiver)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::select! {
        served = server => Ok(served?),
        () = follow(&file, text, sender) => Ok(()),
    }
}

/// Reads the file again and again; ends never.
async fn follow(file: &Path, mut known: String, sender: watch::Sender<Arc<Relations>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let read = relations::load(file);
        let fresh = match read {
            Ok(text) if text == known => continue,
            Ok(text) => {
                known = text;
                Relations::parse(&known)
            }
            Err(error) => Err(error),
        };
        match fresh {
            Ok(relations) => {
                tracing::info!(relationships = relations.len(), "relationships read again");
                sender.send_replace(Arc::new(relations));
            }
            Err(error) => tracing::warn!(%error, "relationships stay as they were"),
        }
    }
}

#[tonic::async_trait]
impl Authorization for Engine {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let principal = attributes.source.unwrap_or_default().principal;
        let http = attributes.request.unwrap_or_default().http.unwrap_or_default();
        let relations = self.relations.borrow().clone();
        let verdict = relations.decide(&principal, &http.method, &http.host, &http.path);
        let (allowed, reason) = match verdict {
            Verdict::Allowed(relation) => (true, relation),
            Verdict::Denied(reason) => (false, reason),
        };
        tracing::info!(
            allowed,
            reason,
            principal,
            method = http.method,
            host = http.host,
            path = http.path,
            "decided"
        );
        Ok(Response::new(if allowed { permit(reason) } else { refusal(reason) }))
    }
}

fn header(reason: String) -> HeaderValueOption {
    let header = HeaderValue { key: REASON.to_owned(), value: reason, raw_value: Vec::new() };
    HeaderValueOption { header: Some(header), ..HeaderValueOption::default() }
}

fn permit(reason: String) -> CheckResponse {
    let ok = OkHttpResponse { headers: vec![header(reason)], ..OkHttpResponse::default() };
    CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(ok)),
        ..CheckResponse::default()
    }
}

fn refusal(reason: String) -> CheckResponse {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: 403 }),
        body: format!("{{\"error\": \"policy engine: {reason}\"}}\n"),
        headers: vec![header(reason)],
    };
    CheckResponse {
        status: Some(RpcStatus { code: PERMISSION_DENIED, ..RpcStatus::default() }),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        ..CheckResponse::default()
    }
}
