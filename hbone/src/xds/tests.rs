use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use prost_types::Any;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::channel::fake::{Authority, FakeServer};
use crate::wire::pb::envoy::service::discovery::v3 as pb;
use pb::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};

mod backoff;
mod faults;
mod limits;
mod protocol;

const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
const POLICY: &str = "type.googleapis.com/istio.security.Authorization";
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream as the fake server sees it; the test plays the server.
struct ServerStream {
    requests: Streaming<pb::DeltaDiscoveryRequest>,
    responses: mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>,
    authorization: String,
}

impl ServerStream {
    async fn request(&mut self) -> pb::DeltaDiscoveryRequest {
        let next = tokio::time::timeout(PATIENCE, self.requests.message()).await;
        next.expect("in time").expect("no error").expect("a request")
    }

    async fn send(&self, response: pb::DeltaDiscoveryResponse) {
        self.responses.send(Ok(response)).await.expect("the client reads");
    }

    /// Reads the first request of a stream and answers it.
    async fn answer(
        &mut self,
        resources: &[(&str, &str, &str)],
        removed: &[&str],
    ) -> (pb::DeltaDiscoveryRequest, pb::DeltaDiscoveryRequest) {
        let first = self.request().await;
        self.send(response(&first.type_url, "n1", resources, removed)).await;
        (first, self.request().await)
    }
}

struct FakeAds(mpsc::Sender<ServerStream>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for FakeAds {
    type DeltaAggregatedResourcesStream =
        ReceiverStream<Result<pb::DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<pb::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let authorization = request.metadata().get("authorization").cloned();
        let authorization = authorization.expect("token").to_str().expect("text").to_owned();
        let (responses, outgoing) = mpsc::channel(64);
        let requests = request.into_inner();
        let _ = self.0.send(ServerStream { requests, responses, authorization }).await;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

fn response(
    type_url: &str,
    nonce: &str,
    resources: &[(&str, &str, &str)],
    removed: &[&str],
) -> pb::DeltaDiscoveryResponse {
    let resource = |(name, version, content): &(&str, &str, &str)| pb::Resource {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        resource: Some(Any { type_url: type_url.to_owned(), value: content.as_bytes().to_vec() }),
        ..Default::default()
    };
    pb::DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        nonce: nonce.to_owned(),
        resources: resources.iter().map(resource).collect(),
        removed_resources: removed.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

/// Keeps name and content; takes no `bad`, and panics at `poison`.
#[derive(Default)]
struct Store(Mutex<BTreeMap<String, String>>);

impl Handler for Store {
    fn apply(&self, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected> {
        let mut rejected = Vec::new();
        for Resource { name, bytes, .. } in resources {
            match bytes.as_ref() {
                b"bad" => rejected.push(Rejected { name, error: "cannot be decoded".into() }),
                b"poison" => panic!("a resource that nobody expected"),
                content => {
                    let content = String::from_utf8_lossy(content).into_owned();
                    self.0.lock().expect("not poisoned").insert(name, content);
                }
            }
        }
        for name in removed {
            self.0.lock().expect("not poisoned").remove(&name);
        }
        rejected
    }
}

/// A running client, its servers, and what it holds.
struct Mesh {
    streams: mpsc::Receiver<ServerStream>,
    store: Arc<Store>,
    synced: Synced,
    shutdown: CancellationToken,
    client: JoinHandle<()>,
    metrics: XdsMetrics,
    authority: Authority,
    _servers: Vec<FakeServer>,
}

impl Mesh {
    async fn start(types: &[&str]) -> Self {
        let authority = Authority::new();
        let (server, streams) = fake_ads(&authority).await;
        let ports = [server.port];
        Self::with(authority, vec![server], &ports, streams, types)
    }

    fn with(
        authority: Authority,
        servers: Vec<FakeServer>,
        ports: &[u16],
        streams: mpsc::Receiver<ServerStream>,
        types: &[&str],
    ) -> Self {
        let store = Arc::new(Store::default());
        let metrics = XdsMetrics::default();
        let timing = Timing { answer: Duration::from_millis(500), healthy_after: Duration::ZERO };
        let node = NodeInfo { kind: "ztunnel".into(), ..NodeInfo::default() };
        let control = authority.control(ports);
        let mut client = Client::new(control, &node, metrics.clone()).timing(timing);
        for type_url in types {
            client = client.watch(type_url, Arc::clone(&store) as Arc<dyn Handler>);
        }
        let (synced, shutdown) = (client.synced(), CancellationToken::new());
        let client = tokio::spawn(client.run(shutdown.clone()));
        Self { streams, store, synced, shutdown, client, metrics, authority, _servers: servers }
    }

    async fn stream(&mut self) -> ServerStream {
        let next = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        next.expect("the client comes in time").expect("the server runs")
    }

    fn held(&self) -> Vec<(String, String)> {
        let held = self.store.0.lock().expect("not poisoned");
        held.iter().map(|(name, content)| (name.clone(), content.clone())).collect()
    }

    async fn becomes_synced(&mut self) {
        let waited = tokio::time::timeout(PATIENCE, self.synced.wait()).await;
        assert!(waited.expect("synced in time"));
    }
}

async fn fake_ads(authority: &Authority) -> (FakeServer, mpsc::Receiver<ServerStream>) {
    let (sender, streams) = mpsc::channel(16);
    let service = AggregatedDiscoveryServiceServer::new(FakeAds(sender));
    let server = authority.serve("localhost", Routes::new(service)).await;
    (server, streams)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
