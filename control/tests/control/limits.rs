//! Bounds: what is beyond them is reported or refused, and the rest goes on.

use std::fs;
use std::time::Duration;

use control::limits::{
    MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_HANDSHAKES, MAX_NAMES_PER_STREAM, MAX_REQUEST_BYTES,
    MAX_SMALL_REQUEST_BYTES,
};
use hbone::wire::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::support::{ADDRESS, Mesh, PATIENCE, SHOP, first};

#[tokio::test]
async fn a_file_too_large_and_a_folder_too_deep_are_reported_and_the_rest_is_read() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let large = fs::File::create(mesh.directory().join("large.yaml")).expect("made");
    large.set_len(MAX_FILE_BYTES + 1).expect("it takes no room");
    let mut folder = mesh.directory();
    folder.extend(std::iter::repeat_n("deeper", MAX_DEPTH));
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("unseen.yaml"), "no YAML: [").expect("written");
    mesh.write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-c}}");
    mesh.until("both are reported, by the names of the limits", |s| {
        let said = |word: &str| s.problems.iter().any(|p| p.message.contains(word));
        said("MAX_FILE_BYTES") && said("MAX_DEPTH") && s.problems.len() == 2
    })
    .await;
    // The node that came with them has come in.
    mesh.join("node-c").await;
}

#[tokio::test]
async fn a_subscriber_of_too_many_names_is_cut_with_the_reason() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let names = |count| (0..count).map(|n| format!("/n{n}")).collect();
    let request = |count| DeltaDiscoveryRequest {
        resource_names_subscribe: names(count),
        ..first("node-a", ADDRESS)
    };
    let mut stream = mesh.discover(&token, request(MAX_NAMES_PER_STREAM)).await;
    stream.next().await;
    let more = DeltaDiscoveryRequest {
        type_url: ADDRESS.to_owned(),
        resource_names_subscribe: vec!["/one-more".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    stream.send(more).await;
    let end = timeout(PATIENCE, stream.responses.message()).await.expect("in time");
    let refused = end.expect_err("it is cut");
    assert!(refused.message().contains("MAX_NAMES_PER_STREAM"), "{refused}");
    mesh.discover(&token, first("node-a", ADDRESS)).await.next().await;
}

#[tokio::test]
async fn a_request_for_a_certificate_is_not_read_without_end() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let endless = "a".repeat(MAX_SMALL_REQUEST_BYTES);
    let refused = mesh.certificate(&token, &endless, None, 60).await.expect_err("too large");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
}

#[tokio::test]
async fn a_directory_of_too_many_files_changes_nothing() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    // Made beside it, so that it is never seen with some of them.
    let aside = mesh.directory().with_file_name("aside");
    fs::create_dir(&aside).expect("made");
    for n in 0..MAX_FILES {
        fs::File::create(aside.join(format!("{n}.yaml"))).expect("made");
    }
    fs::rename(&aside, mesh.directory().join("many")).expect("moved");
    mesh.until("too many files", |s| s.problems.iter().any(|p| p.message.contains("MAX_FILES")))
        .await;
    let token = mesh.join("node-a").await;
    let held = mesh.discover(&token, first("node-a", ADDRESS)).await.next().await;
    assert_eq!(held.resources.len(), 3, "what was there is served");
}

#[tokio::test]
async fn handshakes_have_a_limit_and_the_next_waits() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let mut silent = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        silent.push(TcpStream::connect(mesh.running().address()).await.expect("connected"));
    }
    let mut next = std::pin::pin!(mesh.channel());
    assert!(timeout(Duration::from_millis(300), next.as_mut()).await.is_err(), "it waits");
    silent.pop();
    timeout(PATIENCE, next).await.expect("its turn has come");
}

#[tokio::test]
async fn a_request_for_discovery_is_not_read_without_end() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    // The prefix of a message: not compressed, and its length. It never comes.
    let length = u32::try_from(MAX_REQUEST_BYTES + 1).expect("a length");
    let prefix: Vec<u8> = [0].into_iter().chain(length.to_be_bytes()).collect();
    let frame = Ok::<_, Status>(Frame::data(prefix.into()));
    let body = StreamBody::new(tokio_stream::once(frame).chain(tokio_stream::pending()));
    let path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::new(body))
        .expect("a request");
    let answer = timeout(PATIENCE, mesh.channel().await.oneshot(request)).await;
    let answer = answer.expect("in time").expect("an answer");
    let (head, body) = answer.into_parts();
    let rest = timeout(PATIENCE, body.collect()).await.expect("it ends").expect("in order");
    let end = rest.trailers().cloned().unwrap_or(head.headers);
    let status = Status::from_header_map(&end).expect("a status");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
}
