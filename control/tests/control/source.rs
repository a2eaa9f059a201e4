//! Bad input: nothing of it makes the mesh forget or allow anything.

use hbone::wire::pb::istio::security::{Action, Authorization};
use prost::Message;

use crate::support::{ADDRESS, AUTHORIZATION, Mesh, SHOP, again, first, versions};

const ALLOW: &str = r"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: store}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
";

async fn started() -> (Mesh, String) {
    let mesh = Mesh::start(&[("policy.yaml", ALLOW), ("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    (mesh, token)
}

/// Everything a node proxy holds now.
async fn everything(mesh: &Mesh, token: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in [ADDRESS, AUTHORIZATION] {
        let mut stream = mesh.discover(token, first("node-a", kind)).await;
        all.extend(versions(&stream.next().await));
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_bad_file_is_reported_and_its_last_good_objects_stay_over_a_restart() {
    let (mut mesh, token) = started().await;
    let good = everything(&mesh, &token).await;
    assert_eq!(good.len(), 4);
    for (case, file, text, message) in [
        ("no YAML", "shop.yaml", "a: [1".to_owned(), "is no YAML"),
        ("half-written", "shop.yaml", SHOP[..SHOP.len() - 60].to_owned(), ""),
        ("empty", "shop.yaml", String::new(), "is empty"),
        ("comments alone", "policy.yaml", "# later\n".to_owned(), "is empty"),
        ("no UTF-8", "shop.yaml", "\u{fffd}\0".to_owned(), ""),
        (
            "wrong type",
            "shop.yaml",
            SHOP.replace("containerPort: 8080", "containerPort: many"),
            "many",
        ),
        ("wrong address", "shop.yaml", SHOP.replace("10.2.0.5", "10.2.0.555"), "10.2.0.555"),
        (
            "unknown action",
            "policy.yaml",
            ALLOW.replace("selector:", "action: PERMIT\n  selector:"),
            "PERMIT",
        ),
    ] {
        mesh.write(file, &text);
        mesh.until(case, |s| {
            s.problems.iter().any(|p| p.file == file && p.message.contains(message))
        })
        .await;
        assert_eq!(everything(&mesh, &token).await, good, "{case}");
        mesh.restart().await;
        mesh.running().ready().await;
        assert_eq!(everything(&mesh, &token).await, good, "{case}, after a restart");
        mesh.write("shop.yaml", SHOP);
        mesh.write("policy.yaml", ALLOW);
        mesh.until(case, |s| s.problems.is_empty()).await;
    }
}

#[tokio::test]
async fn a_directory_that_vanishes_or_empties_removes_nothing() {
    let (mut mesh, token) = started().await;
    let good = everything(&mesh, &token).await;
    let aside = mesh.directory().with_file_name("aside");
    std::fs::rename(mesh.directory(), &aside).expect("renames");
    mesh.until("vanished", |s| s.problems.iter().any(|p| p.message.contains("cannot be read")))
        .await;
    assert_eq!(everything(&mesh, &token).await, good);
    mesh.restart().await;
    mesh.running().ready().await;
    assert_eq!(everything(&mesh, &token).await, good, "after a restart");
    std::fs::create_dir(mesh.directory()).expect("makes");
    mesh.until("empty", |s| s.problems.iter().any(|p| p.message.contains("no YAML file"))).await;
    assert_eq!(everything(&mesh, &token).await, good);
    mesh.write("shop.yaml", SHOP);
    mesh.until("there again", |s| s.problems.is_empty()).await;
    assert_eq!(everything(&mesh, &token).await.len(), 3, "the other file is gone for good");
}

#[tokio::test]
async fn each_problem_names_file_document_object_and_field() {
    let (mesh, _) = started().await;
    let bad = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: shop}
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: wrong, namespace: shop}
spec: {ports: [{port: 70000}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: typo, namespace: shop}
spec:
  rules:
  - from: [{source: {principal: [x]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{kind: Service, group: "", name: store}]
  rules: [{backendRefs: [{name: missing, port: 80}]}]
"#;
    mesh.write("zz-bad.yaml", bad);
    mesh.write("zz-twice.yaml", ALLOW);
    for (file, document, object, field, message) in [
        ("zz-bad.yaml", 1, "Deployment shop/d", "kind", "not one that Ambit reads"),
        ("zz-bad.yaml", 3, "Service shop/wrong", "spec.ports[0].port", "70000"),
        ("zz-bad.yaml", 4, "AuthorizationPolicy shop/typo", "spec.rules[0]", "principal"),
        ("zz-twice.yaml", 0, "AuthorizationPolicy shop/web", "", "policy.yaml"),
    ] {
        mesh.until(object, |s| {
            s.problems.iter().any(|p| {
                p.file == file
                    && p.document == document
                    && p.object == object
                    && p.field.starts_with(field)
                    && p.message.contains(message)
            })
        })
        .await;
    }
    for (object, kind, reason) in [
        ("Service shop/empty", "ambit.dev/Endpoints", "NoEndpoints"),
        ("HTTPRoute shop/r", "ResolvedRefs", "BackendNotFound"),
    ] {
        mesh.until(object, |s| {
            let conditions = s.objects.get(object);
            conditions.is_some_and(|c| {
                c.iter().any(|c| c.kind == kind && !c.status && c.reason == reason)
            })
        })
        .await;
    }
    let written = mesh.state().join("status.json");
    let read = || std::fs::read_to_string(&written).unwrap_or_default();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while !read().contains("BackendNotFound") {
        assert!(std::time::Instant::now() < deadline, "status.json: {}", read());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_missing_key_beside_the_root_refuses_to_start() {
    let (mut mesh, token) = started().await;
    let held: std::collections::HashMap<_, _> =
        everything(&mesh, &token).await.into_iter().collect();
    mesh.running.take().expect("runs").stop().await;
    let key = mesh.state().join("root-key.pem");
    let saved = std::fs::read(&key).expect("reads");
    std::fs::remove_file(&key).expect("removes");
    let error = control::App::start(mesh.config()).await.expect_err("refuses");
    assert!(format!("{error:#}").contains("root-key.pem is missing"), "{error:#}");
    std::fs::write(&key, b"garbage").expect("writes");
    let error = control::App::start(mesh.config()).await.expect_err("refuses");
    assert!(format!("{error:#}").contains("root-key.pem"), "{error:#}");
    std::fs::write(&key, saved).expect("writes");
    mesh.begin().await;
    mesh.running().ready().await;
    let mut stream = mesh.discover(&token, again("node-a", ADDRESS, &held)).await;
    assert!(stream.next().await.resources.is_empty(), "as if nothing had been");
}

/// What a node proxy is told of the policy `shop/web`: what it does, and how many rules it has.
async fn told_of_web(mesh: &Mesh, token: &str) -> (Action, usize) {
    let mut stream = mesh.discover(token, first("node-a", AUTHORIZATION)).await;
    let response = stream.next().await;
    let web = response.resources.iter().find(|resource| resource.name == "shop/web");
    let body = web.and_then(|web| web.resource.as_ref()).expect("the policy").value.as_slice();
    let policy = Authorization::decode(body).expect("decodes");
    (policy.action(), policy.rules.len())
}

#[tokio::test]
async fn a_policy_that_was_never_readable_denies_its_target_over_restarts_until_it_is() {
    let wrong = ALLOW.replace("selector:", "action: PERMIT\n  selector:");
    let mut mesh = Mesh::start(&[("policy.yaml", &wrong), ("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let token = mesh.join("node-a").await;
    let effect = "until it can be read, it denies everything to pods with app=store";
    for round in ["at first", "after a restart"] {
        mesh.until(round, |status| {
            let mut problems = status.problems.iter();
            problems.any(|p| p.field == "spec.action" && p.message.contains(effect))
        })
        .await;
        assert_eq!(told_of_web(&mesh, &token).await, (Action::Deny, 1), "{round}");
        mesh.restart().await;
        mesh.running().ready().await;
    }
    mesh.write("policy.yaml", ALLOW);
    mesh.until("taken back", |status| status.problems.is_empty()).await;
    assert_eq!(told_of_web(&mesh, &token).await, (Action::Allow, 1));
}
