//! gRPC streams both ways through a waypoint, with a client and a server of a gRPC library.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hbone::wire::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use hbone::wire::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use hbone::wire::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use hbone::wire::pb::google::rpc::Status as RpcStatus;
use hyper_util::rt::TokioIo;
use serde_json::json;
use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream as Messages, StreamExt as _};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::app;

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// How long a message may take on its way.
const SOON: Duration = Duration::from_secs(10);

/// Answers each message at once; the message `fail` with a status. A call with one message
/// and one answer too.
struct Echo;

type Answers = Pin<Box<dyn Messages<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Echo {
    type DeltaAggregatedResourcesStream = Answers;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let answers = request.into_inner().map(|message| {
            let message = message?;
            if message.type_url == "fail" {
                return Err(Status::failed_precondition("as you wish"));
            }
            let type_url = message.type_url;
            Ok(DeltaDiscoveryResponse { type_url, ..DeltaDiscoveryResponse::default() })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl Authorization for Echo {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        if request.into_inner().attributes.is_some() {
            return Err(Status::not_found("nothing like that"));
        }
        let status =
            RpcStatus { code: 0, message: "one answer".to_owned(), ..RpcStatus::default() };
        Ok(Response::new(CheckResponse { status: Some(status), ..CheckResponse::default() }))
    }
}

/// Serves streams on port 9000 and single calls on port 9001.
pub(crate) fn serve(pod: &MeshPod) -> anyhow::Result<()> {
    let incoming = TcpListenerStream::new(app::listen(pod, 9000)?);
    let service = AggregatedDiscoveryServiceServer::new(Echo);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let incoming = TcpListenerStream::new(app::listen(pod, 9001)?);
    let service = AuthorizationServer::new(Echo);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    Ok(())
}

async fn dial(pod: &MeshPod, to: SocketAddr) -> anyhow::Result<Channel> {
    let netns = pod.netns().clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let netns = netns.clone();
        async move {
            let stream =
                netns.run(|| std::net::TcpStream::connect(to)).map_err(std::io::Error::other)??;
            stream.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(tokio::net::TcpStream::from_std(stream)?))
        }
    });
    let endpoint = Endpoint::from_static("http://stream.shop.svc.cluster.local:9000");
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// A stream both ways that is open.
pub(crate) struct Stream {
    send: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
}

impl Stream {
    /// Opens one as soon as that is possible.
    pub(crate) async fn open(client: &MeshPod, to: SocketAddr) -> anyhow::Result<Self> {
        let mut opened = None;
        eventually("a stream opens", PATIENCE, async || {
            let (send, messages) = mpsc::channel(4);
            let Ok(channel) = dial(client, to).await else { return false };
            let mut client = AggregatedDiscoveryServiceClient::new(channel);
            let stream = client.delta_aggregated_resources(ReceiverStream::new(messages)).await;
            opened = stream.ok().map(|answers| Self { send, answers: answers.into_inner() });
            opened.is_some()
        })
        .await?;
        opened.ok_or_else(|| anyhow::anyhow!("no stream"))
    }

    /// The path of its requests.
    pub(crate) const PATH: &'static str =
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

    /// Sends a message, and gets it back.
    pub(crate) async fn ping(&mut self, text: &str) -> anyhow::Result<()> {
        self.send.send(message(text)).await?;
        let answer = tokio::time::timeout(SOON, self.answers.message()).await??;
        anyhow::ensure!(answer.is_some_and(|a| a.type_url == text), "another answer to {text:?}");
        Ok(())
    }

    /// The status that ends it, within a time.
    pub(crate) async fn end(&mut self, limit: Duration) -> anyhow::Result<Status> {
        match tokio::time::timeout(limit, self.answers.message()).await? {
            Err(status) => Ok(status),
            Ok(message) => anyhow::bail!("no end: {}", message.is_some()),
        }
    }

    /// It is reset, within a time: its end is none that the server sent.
    pub(crate) async fn is_reset(&mut self, limit: Duration) -> anyhow::Result<()> {
        let status = self.end(limit).await?;
        let transport = std::error::Error::source(&status).is_some();
        anyhow::ensure!(transport, "a status of the server: {status:?}");
        Ok(())
    }
}

fn message(text: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: text.to_owned(), ..DeltaDiscoveryRequest::default() }
}

/// Calls with one message and one answer: a status of the server, and an answer.
async fn unary(client: &MeshPod, to: SocketAddr) -> anyhow::Result<()> {
    let mut client = AuthorizationClient::new(dial(client, to).await?);
    let answer = client.check(CheckRequest::default()).await?.into_inner();
    anyhow::ensure!(answer.status.is_some_and(|status| status.message == "one answer"));
    let attributes = AttributeContext::default();
    let refused = client.check(CheckRequest { attributes: Some(attributes) }).await;
    let status = refused.expect_err("the server fails it");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "nothing like that"));
    Ok(())
}

testbed::scenario! {
    async fn a_grpc_client_streams_both_ways_through_a_waypoint(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let server = mesh.pod("shop/stream").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let service = mesh.service("shop/stream").named_port("grpc", 9000, 9000).named_port("grpc-one", 9001, 9001).create()?;
        serve(&server)?;
        let waypoint = mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&server, true).await?;
        mesh.has_service(&service).await?;

        let mut stream = Stream::open(&web, service.at4(9000)).await?;
        // Ping-pong: whatever holds messages back on either way stops it.
        for number in 0..100 {
            stream.ping(&format!("message {number}")).await?;
        }
        // A message longer than a frame and than a window.
        stream.ping(&"x".repeat(1 << 20)).await?;
        // And the end is the server's own.
        stream.send.send(message("fail")).await?;
        let status = stream.end(SOON).await?;
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "as you wish"));
        unary(&web, service.at4(9001)).await?;

        mesh.node("node-b")?.logs("request").with("src.identity", web.identity())
            .with("response_code", 200).await?;
        let metrics = server.ztunnel()?.metrics().await?;
        let waypoint = waypoint.identity();
        let from_waypoint = [("reporter", "destination"), ("source_principal", &*waypoint)];
        assert!(metrics.sum("istio_tcp_connections_opened_total", &from_waypoint) >= 1.0);
        let web = web.identity();
        let around = [("reporter", "destination"), ("source_principal", &*web)];
        let bytes = metrics.sum("istio_tcp_received_bytes_total", &around);
        assert!(bytes == 0.0, "{bytes} bytes went around the waypoint");
        Ok(())
    }
}

/// A message of a client that says who it is, or not.
fn said<T>(message: T, who: Option<&'static str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(who) = who {
        request.metadata_mut().insert("x-who", tonic::metadata::MetadataValue::from_static(who));
    }
    request
}

testbed::scenario! {
    async fn a_grpc_route_sends_each_method_to_its_backend(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let server = mesh.pod("shop/stream").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let ports = mesh.service("shop/stream").named_port("grpc", 9000, 9000);
        let service = ports.named_port("grpc-one", 9001, 9001).create()?;
        serve(&server)?;
        mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&server, true).await?;
        mesh.has_service(&service).await?;
        Stream::open(&web, service.at4(9000)).await?;
        // Single calls are not served on the port that is dialled.
        let one = AuthorizationClient::new(dial(&web, service.at4(9000)).await?);
        let unrouted = one.clone().check(CheckRequest::default()).await.expect_err("not there");
        assert_eq!(unrouted.code(), Code::Unimplemented);
        assert!(unrouted.metadata().get("proxy-status").is_none(), "the server says so");

        let header = json!({"type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": "x-route", "value": "one"}]}});
        let rules = json!([
            {"matches": [{"method": {"service": "envoy.service.auth.v3.Authorization", "method": "Check"}}],
                "filters": [header],
                "backendRefs": [{"name": "stream", "port": 9001},
                    {"name": "stream", "port": 9000, "weight": 0}]},
            {"matches": [{"method": {"type": "RegularExpression", "service": "envoy[.]service[.]discovery[.].*"},
                    "headers": [{"name": "x-who", "value": "ann"}]}],
                "backendRefs": [{"name": "stream", "port": 9000}]},
        ]);
        let parent = json!({"group": "", "kind": "Service", "name": "stream", "port": 9000});
        mesh.apply(&json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
            "metadata": {"name": "stream", "namespace": "shop"},
            "spec": {"parentRefs": [parent], "rules": rules}}))?;
        eventually("the route is in force", PATIENCE, async || {
            one.clone().check(CheckRequest::default()).await.is_ok()
        })
        .await?;
        for _ in 0..10 {
            let answer = one.clone().check(CheckRequest::default()).await?;
            let route = answer.metadata().get("x-route").map(|value| value.as_bytes().to_vec());
            assert_eq!(route.as_deref(), Some(&b"one"[..]));
            let status = answer.into_inner().status.unwrap_or_default();
            assert_eq!(status.message, "one answer");
        }
        // A status of the server passes as it is.
        let attributes = Some(AttributeContext::default());
        let refused = one.clone().check(CheckRequest { attributes }).await.expect_err("fails");
        assert_eq!((refused.code(), refused.message()), (Code::NotFound, "nothing like that"));

        // A stream is another service, and needs the header; without a rule there is a status.
        let channel = dial(&web, service.at4(9000)).await?;
        for (who, want) in [(Some("ann"), None), (Some("bob"), Some(Code::Unimplemented)), (None, Some(Code::Unimplemented))] {
            let messages = tokio_stream::iter([message("hello")]);
            let mut client = AggregatedDiscoveryServiceClient::new(channel.clone());
            match (client.delta_aggregated_resources(said(messages, who)).await, want) {
                (Ok(answers), None) => {
                    let first = tokio::time::timeout(SOON, answers.into_inner().message()).await??;
                    assert_eq!(first.map(|answer| answer.type_url).as_deref(), Some("hello"));
                }
                (Err(status), Some(code)) => {
                    assert_eq!(status.code(), code, "{who:?}: {status:?}");
                    let by = status.metadata().get("proxy-status");
                    assert!(by.is_some(), "the waypoint says so: {status:?}");
                }
                (found, _) => anyhow::bail!("{who:?}: {found:?}"),
            }
        }
        mesh.node("node-b")?.logs("request").with("route_name", "GRPCRoute/shop/stream")
            .with("grpc_status", 0).await?;
        mesh.remove("GRPCRoute", "shop", "stream")?;
        eventually("without it the service itself answers", PATIENCE, async || {
            let answer = one.clone().check(CheckRequest::default()).await;
            answer.is_err_and(|status| status.metadata().get("proxy-status").is_none())
        })
        .await?;
        Ok(())
    }
}
