//! Machines: joining, credentials, their pods, their reports, their certificates.

use crate::support::{ADDRESS, Mesh, PATIENCE, SHOP, first, with_token, workload};
use hbone::identity::SpiffeId;
use hbone::tls::CertificateRequest;
use hbone::wire::pb::ambit::node::v1 as node;
use hbone::wire::pb::ambit::node::v1::node_update::Update;
use hbone::wire::pb::istio::workload::TunnelProtocol;
use tonic::{Code, Request, Streaming};

async fn next(updates: &mut Streaming<node::NodeUpdate>) -> Update {
    let next = tokio::time::timeout(PATIENCE, updates.message()).await;
    let update = next.expect("in time").expect("no error").expect("no end");
    update.update.expect("a known kind")
}

fn report(uid: &str, state: node::pod_report::State) -> node::NodeReport {
    let pod = node::PodReport { uid: uid.to_owned(), state: state.into(), ..Default::default() };
    node::NodeReport { report: Some(node::node_report::Report::Pod(pod)) }
}

fn request_for(id: &str) -> CertificateRequest {
    CertificateRequest::generate(&id.parse::<SpiffeId>().expect("identity")).expect("request")
}

#[tokio::test]
async fn a_join_token_works_once_and_only_for_its_node() {
    let mut mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    let token = control::tokens::create(&mesh.state(), "node-a").expect("token");
    let other = mesh.try_join("node-b", &token).await.expect_err("another node");
    assert_eq!(other.code(), Code::Unauthenticated);
    mesh.restart().await;
    mesh.try_join("node-a", &token).await.expect("once, also after a restart");
    let again = mesh.try_join("node-a", &token).await.expect_err("twice");
    assert_eq!((again.code(), again.message()), (other.code(), other.message()), "opaque");
}

#[tokio::test]
async fn a_credential_is_renewed_and_survives_a_restart() {
    let mut mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    let token = mesh.join("node-a").await;
    mesh.restart().await;
    let mut nodes = mesh.nodes().await;
    let renewed = nodes.renew(with_token(Request::new(node::RenewRequest {}), &token));
    let renewed = renewed.await.expect("renews").into_inner();
    assert!(renewed.expires > 0);
    let none = mesh.nodes().await.renew(node::RenewRequest {}).await.expect_err("no token");
    assert_eq!(none.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_node_hears_of_its_pods_and_of_no_others() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let (_reports, mut updates) = mesh.watch(&token).await;
    let Update::Snapshot(snapshot) = next(&mut updates).await else { panic!("a snapshot first") };
    let [pod] = snapshot.pods.as_slice() else { panic!("one pod: {snapshot:?}") };
    assert_eq!((pod.uid.as_str(), pod.name.as_str()), ("uid-web", "web"));
    assert!(pod.enrol, "by the namespace's label");
    assert_eq!(pod.service_account, "web");

    let opted_out =
        SHOP.replace("labels: {app: web}", "labels: {app: web, istio.io/dataplane-mode: none}");
    mesh.write("shop.yaml", &opted_out);
    let Update::Pod(pod) = next(&mut updates).await else { panic!("a change") };
    assert!(!pod.enrol, "the pod's own label wins");

    mesh.write(
        "shop.yaml",
        &SHOP.replace(
            "name: web, namespace: shop, uid: uid-web",
            "name: www, namespace: shop, uid: uid-www",
        ),
    );
    let mut seen = vec![next(&mut updates).await, next(&mut updates).await];
    seen.sort_by_key(|u| matches!(u, Update::Pod(_)));
    assert!(matches!(&seen[0], Update::Removed(r) if r.uid == "uid-web"), "{seen:?}");
    assert!(matches!(&seen[1], Update::Pod(p) if p.uid == "uid-www"), "{seen:?}");
}

#[tokio::test]
async fn an_enrolled_pod_stays_enrolled_over_disconnect_and_restart() {
    let mut mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let (reports, mut updates) = mesh.watch(&token).await;
    next(&mut updates).await;
    reports.send(report("uid-store", node::pod_report::State::Enrolled)).await.expect("sent");
    reports.send(report("uid-web", node::pod_report::State::Enrolled)).await.expect("sent");
    mesh.until("web is enrolled", |s| {
        s.objects.get("Pod shop/web").is_some_and(|c| c.iter().any(|c| c.status))
    })
    .await;
    drop((reports, updates));
    for round in ["disconnect", "restart"] {
        let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
        let response = stream.next().await;
        let protocol = |name| workload(&response, name).expect("there").tunnel_protocol();
        assert_eq!(protocol("web"), TunnelProtocol::Hbone, "{round}");
        assert_eq!(protocol("store"), TunnelProtocol::None, "another node's pod, {round}");
        drop(stream);
        mesh.restart().await;
        mesh.running().ready().await;
    }
}

#[tokio::test]
async fn a_node_gets_the_identities_that_it_runs_and_no_other() {
    let vm = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: shop}\nspec: {address: 10.1.0.77, serviceAccount: vm}\n";
    let mesh = Mesh::start(&[("shop.yaml", SHOP), ("vm.yaml", vm)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let web = "spiffe://cluster.local/ns/shop/sa/web";
    let request = request_for(web);
    let chain = mesh.certificate(&token, request.pem(), Some(web), 0).await.expect("its own");
    assert_eq!(chain.cert_chain.len(), 2, "leaf and root");
    assert_eq!(chain.cert_chain[1], mesh.running().root_pem());
    for (case, wanted) in [
        ("a pod of another node", "spiffe://cluster.local/ns/shop/sa/store"),
        ("a workload entry, which is on no node", "spiffe://cluster.local/ns/shop/sa/vm"),
        ("nobody", "spiffe://cluster.local/ns/shop/sa/nobody"),
        ("another trust domain", "spiffe://cluster.local.evil/ns/shop/sa/web"),
        ("escaped slash", "spiffe://cluster.local/ns/shop%2fsa%2fx/sa/web"),
        ("extra segment", "spiffe://cluster.local/ns/shop/sa/web/x"),
        ("case", "spiffe://cluster.local/ns/shop/sa/Web"),
    ] {
        let refused = mesh.certificate(&token, request.pem(), Some(wanted), 0).await;
        let refused = refused.expect_err(case);
        assert_eq!(refused.code(), Code::Unauthenticated, "{case}");
        assert_eq!(refused.message(), "request impersonation authentication failure", "{case}");
    }
    for (case, csr, seconds) in
        [("no request", "nonsense", 0), ("too long", request.pem(), 25 * 3600)]
    {
        let refused = mesh.certificate(&token, csr, Some(web), seconds).await.expect_err(case);
        assert_eq!(refused.code(), Code::InvalidArgument, "{case}");
    }
    let stranger = mesh.certificate("x.y.z", request.pem(), Some(web), 0).await;
    assert_eq!(stranger.expect_err("stranger").code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_pods_credential_ends_with_the_pod() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let ask = |name: &str, uid: &str| node::PodCredentialRequest {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    let mut nodes = mesh.nodes().await;
    for (case, name, uid) in [
        ("another node's", "store", "uid-store"),
        ("an older pod of the name", "web", "uid-old"),
        ("no pod", "nobody", ""),
    ] {
        let refused = nodes.pod_credential(with_token(Request::new(ask(name, uid)), &token)).await;
        assert_eq!(refused.expect_err(case).code(), Code::Unauthenticated, "{case}");
    }
    let given = nodes.pod_credential(with_token(Request::new(ask("web", "uid-web")), &token)).await;
    let pod = given.expect("its own").into_inner().token;

    let web = "spiffe://cluster.local/ns/shop/sa/web";
    let request = request_for(web);
    mesh.certificate(&pod, request.pem(), None, 60).await.expect("its own identity");
    let other = Some("spiffe://cluster.local/ns/shop/sa/store");
    let other = mesh.certificate(&pod, request.pem(), other, 60).await.expect_err("another");
    assert_eq!(other.code(), Code::Unauthenticated);
    let renew = nodes.renew(with_token(Request::new(node::RenewRequest {}), &pod)).await;
    assert_eq!(renew.expect_err("no node").code(), Code::Unauthenticated);

    mesh.write("shop.yaml", &SHOP.replace("uid-web", "uid-new"));
    let (_reports, mut updates) = mesh.watch(&token).await;
    let gone = |u: &Update| match u {
        Update::Snapshot(s) => s.pods.iter().all(|p| p.uid != "uid-web"),
        Update::Removed(r) => r.uid == "uid-web",
        Update::Pod(_) => false,
    };
    while !gone(&next(&mut updates).await) {}
    let late = mesh.certificate(&pod, request.pem(), None, 60).await.expect_err("gone");
    assert_eq!(late.code(), Code::Unauthenticated);
}

const WAYPOINT: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-a, annotations: {ambit.dev/waypoint-addresses: 10.1.0.240/28}}
---
apiVersion: v1
kind: Node
metadata: {name: node-b, annotations: {ambit.dev/waypoint-addresses: 10.2.0.240/28}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
";

/// The node's stream, after it said of its instance of the waypoint that it is ready.
async fn with_ready_waypoint(
    mesh: &Mesh,
    token: &str,
) -> (tokio::sync::mpsc::Sender<node::NodeReport>, Streaming<node::NodeUpdate>) {
    let (reports, mut updates) = mesh.watch(token).await;
    let Update::Snapshot(snapshot) = next(&mut updates).await else { panic!("a snapshot first") };
    let uid = snapshot.pods.first().expect("an instance").uid.clone();
    let ready = node::PodReport { uid, waypoint_ready: true, ..Default::default() };
    let ready = node::NodeReport { report: Some(node::node_report::Report::Pod(ready)) };
    reports.send(ready).await.expect("sent");
    (reports, updates)
}

async fn until_ready(mesh: &Mesh, count: usize) {
    let said = format!("{count} of 2");
    mesh.until(&format!("{count} instances are ready"), |s| {
        let conditions = s.objects.get("Gateway shop/waypoint");
        conditions.is_some_and(|c| c.iter().any(|c| c.message.starts_with(&said)))
    })
    .await;
}

#[tokio::test]
async fn a_waypoint_on_a_node_that_is_gone_counts_as_not_ready_after_a_grace() {
    let grace = std::time::Duration::from_secs(2);
    let mut mesh = Mesh::prepare(&[("waypoint.yaml", WAYPOINT)]);
    let config = control::Config { node_grace: grace, ..mesh.config() };
    mesh.begin_with(config.clone()).await;
    mesh.running().ready().await;
    let (a, b) = (mesh.join("node-a").await, mesh.join("node-b").await);
    let stream_a = with_ready_waypoint(&mesh, &a).await;
    let stream_b = with_ready_waypoint(&mesh, &b).await;
    until_ready(&mesh, 2).await;

    drop(stream_b);
    let left = std::time::Instant::now();
    until_ready(&mesh, 1).await;
    assert!(left.elapsed() + std::time::Duration::from_millis(200) >= grace, "{left:?}");
    let stream_b = with_ready_waypoint(&mesh, &b).await;
    until_ready(&mesh, 2).await;

    // A restart takes nothing from a node before its grace is over.
    drop((stream_a, stream_b));
    mesh.stop().await;
    mesh.begin_with(config).await;
    let started = std::time::Instant::now();
    mesh.running().ready().await;
    until_ready(&mesh, 2).await;
    let _stream_a = with_ready_waypoint(&mesh, &a).await;
    until_ready(&mesh, 1).await;
    assert!(started.elapsed() + std::time::Duration::from_millis(200) >= grace, "{started:?}");
}
