//! Requests and answers of one healthy stream, and what a next stream starts with.

use super::*;

#[tokio::test]
async fn the_first_state_is_applied_acknowledged_and_ready() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    assert!(!mesh.synced.is_synced());
    let mut stream = mesh.stream().await;
    assert_eq!(stream.authorization, "Bearer secret");
    let (first, ack) = stream.answer(&[("a", "1", "A"), ("b", "1", "B")], &[]).await;
    assert_eq!(first.type_url, ADDRESS);
    assert!(first.node.expect("node").id.starts_with("ztunnel~1.1.1.1~"));
    assert!(first.resource_names_subscribe.is_empty(), "a wildcard");
    assert_eq!((ack.response_nonce.as_str(), ack.error_detail), ("n1", None));
    assert!(ack.node.is_none() && ack.resource_names_subscribe.is_empty());
    mesh.becomes_synced().await;
    assert_eq!(mesh.held(), pairs(&[("a", "A"), ("b", "B")]));
}

#[tokio::test]
async fn ready_needs_every_type_and_an_empty_state_counts() {
    let mut mesh = Mesh::start(&[ADDRESS, POLICY]).await;
    let mut stream = mesh.stream().await;
    let types = [stream.request().await.type_url, stream.request().await.type_url];
    assert_eq!(types, [ADDRESS, POLICY]);
    stream.send(response(ADDRESS, "n1", &[], &[])).await;
    stream.request().await;
    assert!(!mesh.synced.is_synced());
    stream.send(response(POLICY, "n2", &[], &[])).await;
    mesh.becomes_synced().await;
}

#[tokio::test]
async fn each_nonce_is_acknowledged_in_order_also_of_unknown_types() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    stream.request().await;
    for (type_url, nonce) in [(ADDRESS, "1"), ("unknown", "2"), (ADDRESS, "3")] {
        stream.send(response(type_url, nonce, &[(nonce, "v", "x")], &[])).await;
    }
    for nonce in ["1", "2", "3"] {
        assert_eq!(stream.request().await.response_nonce, nonce);
    }
    assert_eq!(mesh.held(), pairs(&[("1", "x"), ("3", "x")]), "the unknown type is dropped");
}

#[tokio::test]
async fn a_reconnect_says_what_is_held_and_removals_reach_the_state() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    stream.answer(&[("a", "1", "A"), ("b", "7", "B"), ("c", "", "C")], &[]).await;
    stream.send(response(ADDRESS, "n2", &[], &["a"])).await;
    stream.request().await;
    drop(stream);
    let (first, _) = mesh.stream().await.answer(&[], &["b"]).await;
    let held: Vec<_> = first
        .initial_resource_versions
        .into_iter()
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect();
    assert_eq!(held, pairs(&[("b", "7"), ("c", "")]));
    assert!(first.node.is_some(), "a new stream names the node again");
    assert_eq!(mesh.held(), pairs(&[("c", "C")]));
}

#[tokio::test]
async fn shutdown_ends_the_client() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let _stream = mesh.stream().await;
    mesh.shutdown.cancel();
    tokio::time::timeout(PATIENCE, mesh.client).await.expect("in time").expect("no panic");
}

#[test]
fn the_node_is_written_as_servers_check_it() {
    let metadata = NodeInfo::metadata_from_env([
        ("ISTIO_META_CLUSTER_ID".into(), "c1".into()),
        ("ISTIO_METAJSON_LABELS".into(), r#"{"a":[1,true,null]}"#.into()),
        ("PATH".into(), "/bin".into()),
    ]);
    let info = NodeInfo {
        kind: "ztunnel".into(),
        ip: Some("10.0.0.9".parse().expect("address")),
        pod: "zt-1".into(),
        namespace: "mesh".into(),
        node: "n1".into(),
        cluster_domain: "cluster.local".into(),
        metadata: metadata.expect("valid"),
        service_account: String::new(),
    };
    let node = info.to_node();
    assert_eq!(node.id, "ztunnel~10.0.0.9~zt-1.mesh~mesh.svc.cluster.local");
    let fields: Vec<String> = node.metadata.expect("metadata").fields.into_keys().collect();
    let want = ["CLUSTER_ID", "INSTANCE_IPS", "LABELS", "NAME", "NAMESPACE", "NODE_NAME"];
    assert_eq!(fields, want);
    let bad = NodeInfo::metadata_from_env([("ISTIO_METAJSON_X".into(), "{".into())]);
    assert_eq!(bad.expect_err("no JSON").0, "ISTIO_METAJSON_X");
}
