//! Bounds: what is beyond them is reported or refused, and the rest goes on.

use std::fs;

use control::limits::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NAMES_PER_STREAM, MAX_SMALL_REQUEST_BYTES};
use hbone::wire::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use tonic::Code;

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
    let end = tokio::time::timeout(PATIENCE, stream.responses.message()).await.expect("in time");
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
