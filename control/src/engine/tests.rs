use super::*;
use crate::model::object::Kind;
use mesh::Mesh;

pub(crate) mod mesh;

fn pod(name: &str, app: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}\nspec: {{nodeName: n, containers: []}}\nstatus: {{podIP: 10.0.0.{}}}\n---\n",
        name.len()
    )
}

fn service(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n---\n"
    )
}

/// Applies a file; the names of policies and addresses that this changed.
fn changed(mesh: &mut Mesh, file: &str, yaml: &str) -> Vec<String> {
    let before: Vec<u64> =
        [&mesh.tables.authorization, &mesh.tables.address].iter().map(|t| t.revision()).collect();
    mesh.set(file, yaml);
    let mut names = Vec::new();
    let tables = [&mesh.tables.authorization, &mesh.tables.address];
    for (table, before) in tables.iter().zip(before) {
        let changes = table.since(before).expect("not behind");
        names.extend(changes.updated.iter().map(|(n, _)| n.to_string()));
        names.extend(changes.removed.iter().map(|n| format!("-{n}")));
    }
    names
}

#[test]
fn a_change_reaches_only_what_depends_on_it() {
    let mut mesh = Mesh::new();
    mesh.set("pods", &(pod("a", "x") + &pod("bb", "y")));
    for (case, file, yaml, want) in [
        ("a service", "svc", service("x", ""), vec!["c//Pod/shop/a", "shop/x.shop.svc.cluster.local"]),
        ("nothing", "svc", service("x", ""), vec![]),
        ("a node that holds both", "node", "apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {topology.kubernetes.io/zone: z}}".to_owned(), vec!["c//Pod/shop/a", "c//Pod/shop/bb"]),
        ("another node", "node2", "apiVersion: v1\nkind: Node\nmetadata: {name: m, labels: {topology.kubernetes.io/zone: z}}".to_owned(), vec![]),
        ("a namespace without meaning", "ns", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}".to_owned(), vec![]),
    ] {
        assert_eq!(changed(&mut mesh, file, &yaml), want, "{case}");
    }
}

#[test]
fn a_guard_lives_as_long_as_a_workload_needs_it() {
    let mut mesh = Mesh::new();
    mesh.set("pods", &(pod("a", "x") + &pod("bb", "x")));
    let bound = service("x", "istio.io/use-waypoint: wp");
    let names = changed(&mut mesh, "svc", &bound);
    let guard = names[0].clone();
    assert!(guard.starts_with("shop/ambit_waypoint_80_"), "{names:?}");
    assert_eq!(names.len(), 4, "one guard for both pods: {names:?}");
    let one_less = changed(&mut mesh, "pods", &pod("a", "x"));
    assert_eq!(one_less, ["-c//Pod/shop/bb"], "the guard stays");
    let unbound = changed(&mut mesh, "svc", &service("x", ""));
    assert!(unbound.contains(&format!("-{guard}")), "{unbound:?}");
}

#[test]
fn a_gateway_that_comes_or_goes_is_noticed_by_those_who_looked_for_it() {
    let mut mesh = Mesh::new();
    mesh.set("pods", &pod("a", "x"));
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    let name = ObjectRef::new(Kind::Service, "shop", "x").to_string();
    let reason = |mesh: &Mesh| {
        let report = mesh.engine.board.report();
        report.objects[&name].iter().find(|c| c.kind.contains("Waypoint")).map(|c| c.reason.clone())
    };
    assert_eq!(reason(&mesh).as_deref(), Some("WaypointIsNotReady"));
    mesh.set("gw", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: shop}\nspec: {gatewayClassName: ambit-waypoint, listeners: [{name: m, port: 15008, protocol: HBONE}]}");
    assert_eq!(reason(&mesh).as_deref(), Some("WaypointAccepted"));
    let changes = mesh.files.remove("gw");
    mesh.update(changes);
    assert_eq!(reason(&mesh).as_deref(), Some("WaypointIsNotReady"));
}

#[test]
fn whatever_the_order_the_result_is_the_same() {
    let files = [
        ("a", pod("a", "x")),
        ("b", pod("bb", "x")),
        ("c", service("x", "istio.io/use-waypoint: wp")),
        ("d", "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}".to_owned()),
        ("e", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {selector: {matchLabels: {app: x}}, rules: [{}]}".to_owned()),
        ("f", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/use-waypoint: other}}".to_owned()),
    ];
    let result = |order: &[usize], detour: bool| {
        let mut mesh = Mesh::new();
        for &i in order {
            mesh.set(files[i].0, &files[i].1);
            if detour {
                let changes = mesh.files.remove(files[i].0);
                mesh.update(changes);
                mesh.set(files[i].0, &files[i].1);
            }
        }
        (mesh.tables.authorization.all().updated, mesh.tables.address.all().updated)
    };
    let want = result(&[0, 1, 2, 3, 4, 5], false);
    for order in [[5, 4, 3, 2, 1, 0], [2, 0, 4, 1, 5, 3], [3, 5, 0, 2, 1, 4]] {
        assert_eq!(result(&order, false), want, "{order:?}");
        assert_eq!(result(&order, true), want, "{order:?}, each removed and put again");
    }
}

/// The pod a's workload: its waypoint's name, and how many guards it has.
fn state_of_a(mesh: &Mesh) -> (bool, usize) {
    use hbone::wire::pb::istio::workload as pb;
    use prost::Message;
    let entry = mesh.tables.address.get("c//Pod/shop/a").expect("there");
    match pb::Address::decode(entry.body).expect("decodes").r#type {
        Some(pb::address::Type::Workload(w)) => {
            (w.waypoint.is_some(), w.authorization_policies.len())
        }
        other => panic!("no workload: {other:?}"),
    }
}

/// A mesh with pod a and service x, and a proxy that has taken everything.
fn served() -> (Mesh, crate::xds::progress::Tracked) {
    let mut mesh = Mesh::new();
    let proxy = mesh.tables.progress.enter();
    mesh.set("pods", &pod("a", "x"));
    mesh.set("svc", &service("x", ""));
    proxy.note(mesh.tables.position());
    (mesh, proxy)
}

async fn next(mesh: &mut Mesh) -> std::time::Duration {
    let begun = Instant::now();
    mesh.engine.due().await;
    mesh.engine.advance();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_guard_waits_for_every_proxy_and_for_requests_on_their_way() {
    let (mut mesh, proxy) = served();
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    assert_eq!(state_of_a(&mesh), (true, 0), "bound, and nobody is refused yet");
    proxy.note(mesh.tables.position());
    next(&mut mesh).await;
    assert_eq!(state_of_a(&mesh), (true, 0), "requests are on their way");
    assert_eq!(next(&mut mesh).await, IN_FLIGHT);
    assert_eq!(state_of_a(&mesh), (true, 1));

    mesh.set("svc", &service("x", ""));
    assert_eq!(state_of_a(&mesh), (true, 0), "the guard goes first");
    proxy.note(mesh.tables.position());
    next(&mut mesh).await;
    next(&mut mesh).await;
    assert_eq!(state_of_a(&mesh), (false, 0));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_lags_keeps_no_guard_back_for_long() {
    let (mut mesh, _proxy) = served();
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    assert_eq!(next(&mut mesh).await, PATIENCE);
    assert_eq!(state_of_a(&mesh), (true, 1), "it is strict all the same");
}

#[tokio::test(start_paused = true)]
async fn changes_in_a_row_keep_no_guard_back_for_longer() {
    let (mut mesh, _proxy) = served();
    let begun = Instant::now();
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    for n in 0..4 {
        tokio::time::advance(PATIENCE / 5).await;
        let label = format!("istio.io/use-waypoint: wp, n: '{n}'");
        mesh.set("pods", &pod("a", "x").replace("app: x", &format!("app: x, n: '{n}'")));
        mesh.set("svc", &service("x", &label));
        assert_eq!(state_of_a(&mesh), (true, 0));
    }
    next(&mut mesh).await;
    assert_eq!(begun.elapsed(), PATIENCE);
    assert_eq!(state_of_a(&mesh), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_taken_back_leaves_nothing_behind() {
    let (mut mesh, proxy) = served();
    let before = mesh.tables.address.all().updated;
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    mesh.set("svc", &service("x", ""));
    proxy.note(mesh.tables.position());
    let end = tokio::time::timeout(PATIENCE * 3, async {
        loop {
            next(&mut mesh).await;
        }
    });
    assert!(end.await.is_err());
    assert_eq!(mesh.tables.address.all().updated, before);
    assert!(mesh.tables.authorization.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_while_a_change_is_under_way_is_guarded_at_once() {
    let (mut mesh, _proxy) = served();
    mesh.set("svc", &service("x", "istio.io/use-waypoint: wp"));
    mesh.set("more", &pod("bb", "x"));
    let entry = mesh.tables.address.get("c//Pod/shop/bb").expect("there");
    let text = format!("{:?}", entry.body);
    assert!(text.contains("ambit_waypoint_80"), "{text}");
}

fn entry(name: &str, host: &str, labels: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec: {{hosts: [{host}], addresses: [192.0.2.1], ports: [{{number: 80, name: http}}], resolution: STATIC, endpoints: [{{address: 203.0.113.1}}, {{address: 203.0.113.2}}]}}\n---\n"
    )
}

#[test]
fn a_change_of_an_entry_reaches_its_host_and_endpoints_and_no_other() {
    let mut mesh = Mesh::new();
    mesh.set("pods", &(pod("a", "x") + &service("x", "")));
    mesh.set("other", &entry("other", "other.example.com", ""));
    let uid =
        |name: &str, n: u8| format!("c/networking.istio.io/ServiceEntry/shop/{name}/203.0.113.{n}");
    let (one, two) = (uid("api", 1), uid("api", 2));
    let added = changed(&mut mesh, "api", &entry("api", "api.example.com", ""));
    assert_eq!(added, [one.as_str(), &two, "shop/api.example.com"]);
    assert!(changed(&mut mesh, "api", &entry("api", "api.example.com", "")).is_empty());
    let moved = changed(&mut mesh, "api", &entry("api", "new.example.com", ""));
    assert_eq!(
        moved,
        [one.as_str(), &two, "shop/new.example.com", "-shop/api.example.com"],
        "the old host goes, the endpoints serve the new one"
    );
    let one_less = entry("api", "new.example.com", "").replace(", {address: 203.0.113.2}", "");
    assert_eq!(changed(&mut mesh, "api", &one_less), [format!("-{two}")]);
}

/// The object that a service is from.
fn service_name(body: &[u8]) -> String {
    use hbone::wire::pb::istio::workload as pb;
    use prost::Message;
    match pb::Address::decode(body).expect("decodes").r#type {
        Some(pb::address::Type::Service(service)) => service.name,
        other => panic!("no service: {other:?}"),
    }
}

#[test]
fn a_host_is_handed_over_when_its_owner_goes() {
    let mut mesh = Mesh::new();
    mesh.set("a", &entry("a", "api.example.com", ""));
    mesh.set("b", &entry("b", "api.example.com", ""));
    let owner = |mesh: &Mesh| {
        let entry = mesh.tables.address.get("shop/api.example.com").expect("served throughout");
        service_name(&entry.body)
    };
    assert_eq!(owner(&mesh), "a", "the first of equals");
    mesh.remove("a");
    assert_eq!(owner(&mesh), "b");
    mesh.set("a", &entry("a", "api.example.com", ""));
    assert_eq!(owner(&mesh), "a");
    mesh.remove("b");
    assert_eq!(owner(&mesh), "a", "whatever goes last takes nothing away");
    mesh.remove("a");
    assert!(mesh.tables.address.get("shop/api.example.com").is_none());
}

/// Waypoint and guards of each endpoint of an entry.
fn endpoints(mesh: &Mesh) -> Vec<(bool, usize)> {
    use hbone::wire::pb::istio::workload as pb;
    use prost::Message;
    let all = mesh.tables.address.all().updated.into_iter();
    let workloads = all.filter_map(|(_, entry)| {
        match pb::Address::decode(entry.body).expect("decodes").r#type {
            Some(pb::address::Type::Workload(w)) => {
                Some((w.waypoint.is_some(), w.authorization_policies.len()))
            }
            _ => None,
        }
    });
    workloads.collect()
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_of_an_entry_is_bound_and_guarded_in_the_same_steps() {
    let mut mesh = Mesh::new();
    let proxy = mesh.tables.progress.enter();
    mesh.set("api", &entry("api", "api.example.com", ""));
    proxy.note(mesh.tables.position());
    assert_eq!(endpoints(&mesh), [(false, 0); 2]);
    mesh.set("api", &entry("api", "api.example.com", "istio.io/use-waypoint: wp"));
    assert_eq!(endpoints(&mesh), [(true, 0); 2], "bound, and nobody is refused yet");
    proxy.note(mesh.tables.position());
    next(&mut mesh).await;
    next(&mut mesh).await;
    // One for its port, and one since its own address is bound too.
    assert_eq!(endpoints(&mesh), [(true, 2); 2]);
    mesh.set("api", &entry("api", "api.example.com", ""));
    assert_eq!(endpoints(&mesh), [(true, 0); 2], "the guards go first");
    proxy.note(mesh.tables.position());
    next(&mut mesh).await;
    next(&mut mesh).await;
    assert_eq!(endpoints(&mesh), [(false, 0); 2]);
}

const JWT: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: m, port: 15008, protocol: HBONE}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]
  jwtRules: [{issuer: i, jwksUri: 'https://issuer.example/keys'}]
";

#[test]
fn nothing_is_served_before_it_is_known_what_became_of_the_keys() {
    use crate::jwks::set::KeySet;

    let mut mesh = Mesh::new();
    let wanted = mesh.engine.wanted();
    mesh.set("jwt", JWT);
    assert!(mesh.engine.is_synced() && !mesh.board.synced(), "waiting for the keys");
    let url = wanted.borrow().keys().next().cloned().expect("wanted");
    assert_eq!(url.to_string(), "https://issuer.example/keys");
    let before = mesh.tables.waypoint_authentications.revision();
    let text = crate::jwks::set::tests::jwks(jsonwebtoken::Algorithm::ES256, "one").to_string();
    let set = KeySet::read(text.as_bytes()).expect("a key set").set;
    mesh.engine.fetched(&url, Fetched { keys: Some(Arc::new(set)), trouble: None });
    assert!(mesh.board.synced());
    let changes = mesh.tables.waypoint_authentications.since(before).expect("not behind");
    assert_eq!(changes.updated.len(), 1, "only that object");
    let name = ObjectRef::new(Kind::RequestAuthentication, "shop", "jwt");
    assert_eq!(mesh.board.conditions(&name)[0].reason, "Accepted");
    // What nobody wants any longer is forgotten, and a late word about it is nothing.
    mesh.remove("jwt");
    assert!(wanted.borrow().is_empty());
    mesh.engine.fetched(&url, Fetched::default());
    assert!(sync::read(&mesh.world).fetched(&url).is_none());
    assert!(mesh.tables.waypoint_authentications.is_empty());
}
