//! Discovery: first state, changes, reconnects, clients that misbehave.

use std::collections::HashMap;

use crate::support::{
    ADDRESS, AUTHORIZATION, Discovery, Mesh, PATIENCE, SHOP, again, first, names, versions,
    workload, ztunnel,
};
use hbone::wire::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use tonic::Code;

const DENY: &str = r"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-web, namespace: shop}
spec:
  selector: {matchLabels: {app: store}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
";

const STORE: &str = "shop/store.shop.svc.cluster.local";
const POD: &str = "Kubernetes//Pod/shop/store";

async fn started() -> (Mesh, String) {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    (mesh, token)
}

#[tokio::test]
async fn the_first_response_is_the_whole_state_even_if_empty() {
    let (mesh, token) = started().await;
    let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let response = stream.next().await;
    assert_eq!(names(&response), ["Kubernetes//Pod/shop/store", "Kubernetes//Pod/shop/web", STORE]);
    assert!(response.resources.iter().all(|r| r.aliases.is_empty()), "wildcard has no aliases");
    stream.send(first("node-a", AUTHORIZATION)).await;
    let response = stream.next().await;
    assert_eq!((response.type_url.as_str(), response.resources.len()), (AUTHORIZATION, 0));
}

#[tokio::test]
async fn a_change_of_the_files_reaches_only_what_it_concerns() {
    let (mesh, token) = started().await;
    let mut stream = mesh.discover(&token, first("node-a", AUTHORIZATION)).await;
    stream.next().await;
    stream.send(first("node-a", ADDRESS)).await;
    stream.next().await;
    let begun = std::time::Instant::now();
    mesh.write("deny.yaml", DENY);
    let policy = stream.next().await;
    assert_eq!(names(&policy), ["shop/no-web"], "the policy before the workload that names it");
    let pod = stream.next().await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(names(&pod), [POD]);
    let policies = workload(&pod, "store").expect("there").authorization_policies;
    assert_eq!(policies, ["shop/no-web"]);
    mesh.remove("deny.yaml");
    let gone = stream.next().await;
    assert_eq!(gone.removed_resources, ["shop/no-web"]);
    assert!(
        workload(&stream.next().await, "store").expect("there").authorization_policies.is_empty()
    );
}

#[tokio::test]
async fn a_reconnect_hears_only_what_changed_also_from_a_restarted_control_plane() {
    let (mut mesh, token) = started().await;
    let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let mut held = versions(&stream.next().await);
    drop(stream);
    mesh.restart().await;
    mesh.running().ready().await;
    let mut stream = mesh.discover(&token, again("node-a", ADDRESS, &held)).await;
    let response = stream.next().await;
    assert_eq!((names(&response), response.removed_resources.len()), (vec![], 0), "nothing new");
    drop(stream);

    mesh.write("shop.yaml", &SHOP.replace("10.2.0.5", "10.2.0.6"));
    held.insert("Kubernetes//Pod/shop/ghost".to_owned(), "1".to_owned());
    mesh.restart().await;
    mesh.running().ready().await;
    let mut stream = mesh.discover(&token, again("node-a", ADDRESS, &held)).await;
    let response = stream.next().await;
    assert_eq!(names(&response), [POD]);
    assert_eq!(response.removed_resources, ["Kubernetes//Pod/shop/ghost"]);
}

#[tokio::test]
async fn on_demand_answers_by_name_and_alias_and_says_what_is_not_there() {
    let (mesh, token) = started().await;
    let star = vec!["*".to_owned()];
    let nothing = DeltaDiscoveryRequest {
        resource_names_subscribe: star.clone(),
        resource_names_unsubscribe: star,
        ..first("node-a", ADDRESS)
    };
    let mut stream = mesh.discover(&token, nothing).await;
    let local = stream.next().await;
    assert_eq!(names(&local), ["Kubernetes//Pod/shop/web"], "the node's own");
    let ask = |name: &str| DeltaDiscoveryRequest {
        type_url: ADDRESS.to_owned(),
        resource_names_subscribe: vec![name.to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    stream.send(ask("/10.96.0.7")).await;
    let by_alias = stream.next().await;
    assert_eq!(names(&by_alias), [POD, STORE], "the service and its pods");
    assert_eq!(by_alias.resources[1].aliases, ["/10.96.0.7"]);
    stream.send(ask("/10.9.9.9")).await;
    let missing = stream.next().await;
    assert_eq!(
        (names(&missing), missing.removed_resources.clone()),
        (vec![], vec!["/10.9.9.9".to_owned()])
    );
    // What was not there comes when it appears.
    mesh.write(
        "more.yaml",
        &SHOP
            .replace("name: store", "name: late")
            .replace("uid-store", "uid-late")
            .replace("10.2.0.5", "10.9.9.9")
            .split("---")
            .nth(3)
            .expect("a pod")
            .replace("app: store", "app: late"),
    );
    assert_eq!(names(&stream.next().await), ["Kubernetes//Pod/shop/late"]);
}

#[tokio::test]
async fn who_is_not_what_it_says_is_not_let_in() {
    let (mesh, token) = started().await;
    let mut other_namespace = first("node-a", ADDRESS);
    other_namespace.node = other_namespace.node.map(|mut n| {
        n.id = "ztunnel~1.1.1.1~z.shop~shop.svc.cluster.local".to_owned();
        n.metadata = None;
        n
    });
    let cases = [
        (
            "no node",
            DeltaDiscoveryRequest { node: None, ..first("node-a", ADDRESS) },
            Code::InvalidArgument,
        ),
        ("another namespace", other_namespace, Code::PermissionDenied),
        ("another machine", first("node-b", ADDRESS), Code::PermissionDenied),
        (
            "a waypoint with a node's credential",
            DeltaDiscoveryRequest {
                node: Some({
                    let mut n = ztunnel("node-a");
                    n.id = n.id.replace("ztunnel~", "waypoint~");
                    n
                }),
                ..first("node-a", ADDRESS)
            },
            Code::PermissionDenied,
        ),
    ];
    for (case, request, code) in cases {
        let mut stream = mesh.discover(&token, request).await;
        let refused = tokio::time::timeout(PATIENCE, stream.responses.message()).await;
        assert_eq!(refused.expect("in time").expect_err(case).code(), code, "{case}");
    }
    let refused = mesh.try_discover("no-token", first("node-a", ADDRESS)).await;
    assert_eq!(refused.err().expect("no token").code(), Code::Unauthenticated);
}

#[tokio::test]
async fn an_empty_source_is_never_served_as_the_whole_state() {
    let mesh = Mesh::start(&[]).await;
    let token = mesh.join("node-a").await;
    let refused = mesh.try_discover(&token, first("node-a", ADDRESS)).await;
    assert_eq!(refused.err().expect("not ready").code(), Code::Unavailable);
    mesh.write("shop.yaml", SHOP);
    tokio::time::timeout(PATIENCE, mesh.running().ready()).await.expect("ready in time");
    let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
    assert_eq!(stream.next().await.resources.len(), 3);
}

/// Changes the zone of node-a `n` times over the life of the test.
fn zone(n: usize) -> String {
    SHOP.replace("zone: z1", &format!("zone: z-{n}"))
}

#[tokio::test]
async fn a_subscriber_that_does_not_acknowledge_hears_the_latest_only_and_holds_up_nobody() {
    let (mesh, token) = started().await;
    let mut stuck = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let unacknowledged = stuck.next_unacknowledged().await;
    let mut reader = mesh.discover(&token, first("node-a", ADDRESS)).await;
    reader.next().await;
    for n in 0..5 {
        mesh.write("shop.yaml", &zone(n));
        let response = reader.next().await;
        let zone = workload(&response, "web").and_then(|w| w.locality).expect("locality").zone;
        assert_eq!(zone, format!("z-{n}"));
    }
    acknowledge(&stuck, &unacknowledged.nonce).await;
    let latest = stuck.next().await;
    assert_eq!(names(&latest), ["Kubernetes//Pod/shop/web"]);
    let zone = workload(&latest, "web").and_then(|w| w.locality).expect("locality").zone;
    assert_eq!(zone, "z-4", "one response for five changes");
}

async fn acknowledge(stream: &Discovery, nonce: &str) {
    stream
        .send(DeltaDiscoveryRequest {
            type_url: ADDRESS.to_owned(),
            response_nonce: nonce.to_owned(),
            ..DeltaDiscoveryRequest::default()
        })
        .await;
}

#[tokio::test]
async fn a_stream_ends_at_its_age_and_goes_on_with_what_it_holds() {
    let mut mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running.take().expect("runs").stop().await;
    let mut config = mesh.config();
    config.max_stream_age = std::time::Duration::from_secs(1);
    mesh.begin_with(config).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let held: HashMap<String, String> = versions(&stream.next().await);
    let end = tokio::time::timeout(PATIENCE, stream.responses.message()).await.expect("in time");
    assert_eq!(end.expect_err("ends").code(), Code::Unavailable);
    let mut stream = mesh.discover(&token, again("node-a", ADDRESS, &held)).await;
    assert!(stream.next().await.resources.is_empty());
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_cut_and_resyncs_while_others_go_on() {
    let mut mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running.take().expect("runs").stop().await;
    let mut config = mesh.config();
    config.subscriber_patience = std::time::Duration::from_secs(1);
    mesh.begin_with(config).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let mut stuck = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let mut reader = mesh.discover(&token, first("node-a", ADDRESS)).await;
    reader.next().await;
    tokio::time::timeout(PATIENCE, stuck.requests.closed()).await.expect("cut in time");
    // What was sent before is still there to be read; then comes the end.
    let held = versions(&stuck.responses.message().await.expect("no error").expect("the first"));
    let end = stuck.responses.message().await.expect_err("cut");
    assert_eq!(end.code(), Code::Unavailable);
    mesh.write("shop.yaml", &zone(7));
    assert_eq!(names(&reader.next().await), ["Kubernetes//Pod/shop/web"], "not cut");
    let mut back = mesh.discover(&token, again("node-a", ADDRESS, &held)).await;
    assert_eq!(names(&back.next().await), ["Kubernetes//Pod/shop/web"], "resynced");
}
