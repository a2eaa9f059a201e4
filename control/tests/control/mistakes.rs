//! What authors get wrong: each mistake is reported with file, object, field and what would be
//! right, and nothing else stops.

use control::status::Report;

use crate::support::{ADDRESS, Mesh, SHOP, first, names, workload};

/// Sorts after the good files, so that of two equal objects theirs counts.
const FILE: &str = "zz-bad.yaml";

fn pod(port: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: late, namespace: shop}}\nspec: {{nodeName: node-a, containers: [{{name: c, image: i, ports: [{{name: p, containerPort: {port}}}]}}]}}\nstatus: {{podIP: 10.1.0.9}}\n"
    )
}

fn policy(rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{action: DENY, selector: {{matchLabels: {{app: none}}}}, rules: {rules}}}\n"
    )
}

fn service(spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: lonely, namespace: shop}}\nspec: {{{spec}, ports: [{{port: 80}}]}}\n"
    )
}

fn route(backend: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop}}\nspec: {{parentRefs: [{{kind: Service, name: store}}], rules: [{{backendRefs: [{{{backend}}}]}}]}}\n"
    )
}

/// Writes a file with a mistake, waits until it is reported so, and checks that a change of
/// another file still arrives.
async fn mistake(mesh: &Mesh, round: usize, text: &str, is_reported: impl Fn(&Report) -> bool) {
    let token = mesh.join("node-a").await;
    let mut stream = mesh.discover(&token, first("node-a", ADDRESS)).await;
    let before = stream.next().await;
    assert!(names(&before).contains(&"shop/store.shop.svc.cluster.local"));
    mesh.write(FILE, text);
    mesh.until(&format!("reported: {text}"), is_reported).await;
    mesh.write("shop.yaml", &SHOP.replace("zone: z1", &format!("zone: z-{round}")));
    loop {
        let response = stream.next().await;
        let zone = workload(&response, "web").and_then(|w| w.locality).map(|l| l.zone);
        if zone == Some(format!("z-{round}")) {
            break;
        }
    }
    mesh.remove(FILE);
    mesh.until("taken back", |s| s.problems.is_empty()).await;
}

#[tokio::test]
async fn a_mistake_is_reported_where_it_is_and_nothing_else_stops() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let store = SHOP.split("---").last().expect("a service").to_owned();
    for (round, (case, text, object, field, message)) in [
        ("no YAML", "a: [1".to_owned(), "", "", "is no YAML"),
        ("no object", "just: text\n".to_owned(), "", "", "write a mapping with apiVersion, kind"),
        (
            "unknown kind",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n".to_owned(),
            "Deployment shop/web",
            "kind",
            "is not one that Ambit reads; remove it",
        ),
        ("wrong type", pod("many"), "Pod shop/late", "spec.containers[0].ports[0].containerPort", "many"),
        ("impossible value", pod("80").replace("10.1.0.9", "10.1.0.999"), "Pod shop/late", "status.podIP", "write an address such as"),
        ("duplicate", store, "Service shop/store", "", "is in shop.yaml too, which counts; keep one"),
        ("twice in a file", format!("{}---\n{}", pod("80"), pod("81")), "Pod shop/late", "", "in this file twice"),
        ("unknown field of a policy", policy("[{from: [{source: {principal: [a]}}]}]"), "AuthorizationPolicy shop/p", "spec.rules[0].from[0].source.principal", "until it is right, what it belongs to matches its whole target"),
        (
            "unknown field of a RequestAuthentication",
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: shop}\nspec: {targetRefs: [{kind: Service, name: store}], jwtRules: [{issuer: i, fromFoo: [a]}]}\n".to_owned(),
            "RequestAuthentication shop/jwt",
            "spec.jwtRules[0].fromFoo",
            "until it is right, every request to the targets is refused",
        ),
        (
            "unknown field of a grant",
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: shop}\nspec: {from: [], to: [], until: tomorrow}\n".to_owned(),
            "ReferenceGrant shop/g",
            "spec.until",
            "permits nothing",
        ),
        (
            "an entry without endpoints",
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: shop}\nspec: {hosts: [a.b], ports: [{number: 80, name: http}], resolution: STATIC}\n".to_owned(),
            "ServiceEntry shop/e",
            "spec.resolution",
            "write spec.endpoints or spec.workloadSelector",
        ),
        (
            "unknown field of a workload entry",
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: v, namespace: shop}\nspec: {address: 10.1.0.9, adress: x}\n".to_owned(),
            "WorkloadEntry shop/v",
            "spec.adress",
            "is no field of this kind",
        ),
        (
            "addresses of waypoints",
            "apiVersion: v1\nkind: Node\nmetadata: {name: node-z, annotations: {ambit.dev/waypoint-addresses: many}}\n".to_owned(),
            "Node node-z",
            "metadata.annotations[ambit.dev/waypoint-addresses]",
            "write blocks such as",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{case}");
        mistake(&mesh, round, &text, |status| {
            status.problems.iter().any(|p| {
                p.file == FILE && p.object == object && p.field == field && p.message.contains(message)
            })
        })
        .await;
    }
}

#[tokio::test]
async fn what_names_something_that_is_not_there_is_said_on_the_object() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    for (round, (case, text, object, kind, reason, message)) in [
        ("selects nothing", service("selector: {app: nobody}"), "Service shop/lonely", "ambit.dev/Endpoints", "NoEndpoints", "its selector matches no pod"),
        ("no selector", service("clusterIP: 10.96.0.9"), "Service shop/lonely", "ambit.dev/Endpoints", "NoEndpoints", "has no selector"),
        ("missing backend", route("name: gone, port: 80"), "HTTPRoute shop/r", "ResolvedRefs", "BackendNotFound", "spec.rules[0].backendRefs[0]: Service shop/gone is not there"),
        ("another's backend", route("name: pay, namespace: bank, port: 80"), "HTTPRoute shop/r", "ResolvedRefs", "RefNotPermitted", "write a ReferenceGrant"),
        (
            "unknown class",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: shop}\nspec: {gatewayClassName: nginx, listeners: []}\n".to_owned(),
            "Gateway shop/g",
            "Accepted",
            "UnsupportedClass",
            "ambit-waypoint",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{case}");
        mistake(&mesh, round, &text, |status| {
            let conditions = status.objects.get(object).into_iter().flatten();
            conditions.filter(|c| c.kind == kind).any(|c| {
                !c.status && c.reason == reason && c.message.contains(message)
            })
        })
        .await;
    }
}

#[tokio::test]
async fn an_empty_rule_is_no_mistake() {
    let mesh = Mesh::start(&[("shop.yaml", SHOP), (FILE, &policy("[{}]"))]).await;
    mesh.running().ready().await;
    let report = mesh.running().board().report();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test]
async fn metrics_and_pages_are_for_who_names_this_machine() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mesh = Mesh::start(&[("shop.yaml", SHOP)]).await;
    mesh.running().ready().await;
    let admin = mesh.running().admin();
    for path in ["/metrics", "/stats/prometheus", "/ready", "/debug/status", "/debug/config"] {
        for (host, want) in [("localhost", "200"), ("rebound.example", "403")] {
            let mut stream = tokio::net::TcpStream::connect(admin).await.expect("connects");
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sends");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("answers");
            assert_eq!(answer.split(' ').nth(1), Some(want), "{path} for {host}: {answer}");
        }
    }
}
