//! What goes wrong at the server or in a resource must not leave the client dead or empty.

use super::*;

#[tokio::test]
async fn an_undecodable_resource_is_rejected_and_the_rest_applied() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    let (_, nack) = stream.answer(&[("a", "1", "A"), ("b", "1", "bad")], &[]).await;
    assert_eq!(nack.response_nonce, "n1");
    assert_eq!(nack.error_detail.expect("a NACK").message, "b: cannot be decoded");
    mesh.becomes_synced().await;
    assert_eq!(mesh.held(), pairs(&[("a", "A")]));
    drop(stream);
    let (first, _) = mesh.stream().await.answer(&[("b", "2", "B")], &[]).await;
    let held: Vec<_> = first.initial_resource_versions.into_iter().collect();
    assert_eq!(held, pairs(&[("a", "1")]), "what was rejected is not held");
    assert_eq!(mesh.held(), pairs(&[("a", "A"), ("b", "B")]));
}

#[tokio::test]
async fn a_resource_that_makes_the_handler_panic_is_rejected_alone() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    let resources = [("a", "1", "A"), ("b", "1", "poison"), ("c", "1", "C")];
    let (_, nack) = stream.answer(&resources, &[]).await;
    assert_eq!(nack.error_detail.expect("a NACK").message, "b: the client failed on this resource");
    assert_eq!(mesh.held(), pairs(&[("a", "A"), ("c", "C")]));
    stream.send(response(ADDRESS, "n2", &[("b", "2", "B")], &[])).await;
    assert_eq!(stream.request().await.error_detail, None, "the client goes on");
    assert_eq!(mesh.held(), pairs(&[("a", "A"), ("b", "B"), ("c", "C")]));
}

#[tokio::test]
async fn a_state_of_which_nothing_can_be_used_is_not_ready() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    stream.answer(&[("a", "1", "bad")], &[]).await;
    assert!(!mesh.synced.is_synced(), "ready and empty");
    stream.send(response(ADDRESS, "n2", &[("a", "2", "A")], &[])).await;
    mesh.becomes_synced().await;
}

#[tokio::test]
async fn envelopes_without_name_content_or_the_right_type_are_rejected() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    stream.request().await;
    let mut answer =
        response(ADDRESS, "n1", &[("a", "1", "A"), ("", "1", "x"), ("e", "1", "x")], &[]);
    answer.resources[2].resource = None;
    answer.resources.extend(response(POLICY, "", &[("p", "1", "x")], &[]).resources);
    stream.send(answer).await;
    let error = stream.request().await.error_detail.expect("a NACK").message;
    for part in [": no name", "e: no content", "p: type"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(mesh.held(), pairs(&[("a", "A")]));
}

#[tokio::test]
async fn a_rejected_update_that_is_then_removed_while_away_leaves_no_ghost() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    let mut stream = mesh.stream().await;
    stream.answer(&[("a", "1", "A")], &[]).await;
    stream.send(response(ADDRESS, "n2", &[("a", "2", "bad")], &[])).await;
    assert!(stream.request().await.error_detail.is_some());
    assert_eq!(mesh.held(), pairs(&[("a", "A")]), "the last good version stays");
    drop(stream);
    let (first, _) = mesh.stream().await.answer(&[], &["a"]).await;
    let held: Vec<_> = first.initial_resource_versions.into_iter().collect();
    assert_eq!(held, pairs(&[("a", "")]), "held, at no version");
    assert_eq!(mesh.held(), []);
}

#[tokio::test]
async fn a_stream_that_ends_ok_is_opened_again() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    for round in 0..3 {
        let mut stream = mesh.stream().await;
        let (first, _) = stream.answer(&[("a", "1", "A")], &[]).await;
        assert_eq!(first.initial_resource_versions.len(), usize::from(round > 0));
    }
    assert!(mesh.synced.is_synced());
}

#[tokio::test]
async fn a_stream_that_ends_with_an_error_is_opened_again() {
    let mut mesh = Mesh::start(&[ADDRESS]).await;
    for status in [Status::unauthenticated("no"), Status::internal("x"), Status::unknown("y")] {
        let stream = mesh.stream().await;
        stream.responses.send(Err(status)).await.expect("sent");
    }
    mesh.stream().await.answer(&[("a", "1", "A")], &[]).await;
    mesh.becomes_synced().await;
    let text = encode(&mesh.metrics);
    assert!(
        text.contains("reason=\"Error\"} 2") && text.contains("reason=\"Reconnect\"} 1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_left_for_another() {
    let authority = Authority::new();
    let (silent, mut ignored) = fake_ads(&authority).await;
    let (good, streams) = fake_ads(&authority).await;
    let ports = [silent.port, good.port];
    let mut mesh = Mesh::with(authority, vec![silent, good], &ports, streams, &[ADDRESS]);
    let _kept_open = tokio::time::timeout(PATIENCE, ignored.recv()).await.expect("tried first");
    mesh.stream().await.answer(&[("a", "1", "A")], &[]).await;
    mesh.becomes_synced().await;
}

#[tokio::test]
async fn no_server_at_first_and_one_later() {
    let authority = Authority::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        listener.local_addr().expect("address").port()
    };
    let (server, streams) = fake_ads(&authority).await;
    // The root file is lost and found again: until then nothing may be connected.
    let root = std::fs::read(authority.root_file()).expect("root");
    let ports = [port, server.port];
    let mut mesh = Mesh::with(authority, vec![server], &ports, streams, &[ADDRESS]);
    std::fs::remove_file(mesh.authority.root_file()).expect("removed");
    while !encode(&mesh.metrics).contains("reason=\"ConnectionError\"") {
        if let Ok(stream) = mesh.streams.try_recv() {
            drop(stream);
        }
        tokio::task::yield_now().await;
    }
    std::fs::write(mesh.authority.root_file(), root).expect("written");
    mesh.stream().await.answer(&[("a", "1", "A")], &[]).await;
    mesh.becomes_synced().await;
}

pub(super) fn encode(metrics: &XdsMetrics) -> String {
    use prometheus_client::registry::Registry;
    let mut registry = Registry::default();
    metrics.register_in(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
    text
}
