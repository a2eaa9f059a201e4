//! gRPC streams both ways through a waypoint, with a client and a server of a gRPC library.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use hyper_util::rt::TokioIo;
use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// How long a message may take on its way.
const SOON: Duration = Duration::from_secs(10);

/// Answers each message at once; the message `fail` with a status.
struct Echo;

type Answers = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

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

fn serve(pod: &MeshPod) -> anyhow::Result<()> {
    let listener = pod.netns().run(|| std::net::TcpListener::bind("0.0.0.0:9000"))??;
    listener.set_nonblocking(true)?;
    let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
    let service = AggregatedDiscoveryServiceServer::new(Echo);
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

fn message(text: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: text.to_owned(), ..DeltaDiscoveryRequest::default() }
}

testbed::scenario! {
    async fn a_grpc_client_streams_both_ways_through_a_waypoint(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let server = mesh.pod("shop/stream").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let service = mesh.service("shop/stream").named_port("grpc", 9000, 9000).create()?;
        serve(&server)?;
        let waypoint = mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&server, true).await?;
        mesh.has_service(&service).await?;

        let to = service.at4(9000);
        let mut opened = None;
        eventually("a stream opens", PATIENCE, async || {
            let (send, messages) = mpsc::channel(4);
            let Ok(channel) = dial(&web, to).await else { return false };
            let mut client = AggregatedDiscoveryServiceClient::new(channel);
            let stream = client.delta_aggregated_resources(ReceiverStream::new(messages)).await;
            opened = stream.ok().map(|answers| (send, answers.into_inner()));
            opened.is_some()
        }).await?;
        let (send, mut answers) = opened.ok_or_else(|| anyhow::anyhow!("no stream"))?;

        // Ping-pong: whatever holds messages back on either way stops it.
        for number in 0..100 {
            let text = format!("message {number}");
            send.send(message(&text)).await?;
            let answer = tokio::time::timeout(SOON, answers.message()).await??;
            assert_eq!(answer.map(|a| a.type_url), Some(text));
        }
        // A message longer than a frame and than a window.
        let long = "x".repeat(1 << 20);
        send.send(message(&long)).await?;
        let answer = tokio::time::timeout(SOON, answers.message()).await??;
        assert_eq!(answer.map(|a| a.type_url.len()), Some(long.len()));
        // And the end is the server's own.
        send.send(message("fail")).await?;
        let end = tokio::time::timeout(SOON, answers.message()).await?;
        let status = end.expect_err("a status ends the stream");
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "as you wish"));

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
