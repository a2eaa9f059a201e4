use hbone::wire::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tonic::Code;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::ServiceExt as _;

use super::*;
use crate::auth::{AuthError, Caller, Role};

/// Lets everybody in, as node `n`.
#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Authenticator for Everybody {
    async fn authenticate(&self, _: &MetadataMap) -> Result<Caller, AuthError> {
        let own = str::to_owned;
        Ok(Caller {
            namespace: own("istio-system"),
            service_account: own("ztunnel"),
            node: own("n"),
            role: Role::Node,
        })
    }
}

#[tokio::test]
async fn so_many_streams_are_open_and_the_next_is_refused() {
    let (board, metrics) = (Board::default(), XdsMetrics::default());
    board.set_source(Vec::new(), true);
    let long = Duration::from_hours(1);
    let patience = Patience { max_age: long, acknowledgement: long };
    let service =
        XdsService::new(Tables::default(), board, Arc::new(Everybody), metrics.clone(), patience);
    let streams = service.streams.clone();
    let server = AggregatedDiscoveryServiceServer::new(service);
    let path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    let open = || {
        let request = http::Request::post(path).header("content-type", "application/grpc");
        server.clone().oneshot(request.body(Body::empty()).expect("a request"))
    };
    let busy = streams.try_acquire_many(limits::MAX_STREAMS as u32).expect("all of them");
    let refused = open().await.expect("an answer");
    let status = Status::from_header_map(refused.headers()).expect("a status");
    assert_eq!((status.code(), metrics.refused.get()), (Code::ResourceExhausted, 1), "{status}");
    drop(busy);
    let opened = open().await.expect("an answer");
    assert!(Status::from_header_map(opened.headers()).is_none(), "a stream");
}
