use std::collections::BTreeMap;

use hbone::wire::pb::istio::workload as pb;
use hbone::wire::pb::istio::workload::load_balancing::{HealthPolicy, Mode};
use prost::Message;

use super::*;
use crate::model::dirty::Dirty;
use crate::model::entry::Given;
use crate::translate::guard::Guard;
use crate::translate::tests::world;
use crate::translate::{Family, derive};

/// A ServiceEntry of namespace shop.
fn entry(name: &str, meta: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop{meta}}}\nspec: {{ports: [{{number: 80, name: http, protocol: HTTP}}, {{number: 443, name: tls, protocol: TLS, targetPort: 8443}}], {spec}}}\n---\n"
    )
}

fn workload_entry(name: &str, meta: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, namespace: shop{meta}}}\nspec: {{{spec}}}\n---\n"
    )
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: pod, namespace: shop, labels: {app: db}}
spec: {nodeName: n, containers: []}
status: {podIP: 10.0.0.7}
---
";

fn messages(derived: &Derived) -> Vec<pb::address::Type> {
    let addresses = derived.resources.iter().filter(|r| r.family == Family::Address);
    let decode = |r: &super::super::Resource| {
        pb::Address::decode(r.body.as_slice()).expect("decodes").r#type.expect("a type")
    };
    addresses.map(decode).collect()
}

fn service(world: &World, host: &str) -> Option<pb::Service> {
    match messages(&derive(world, &Dirty::Host(Key::new("shop", host)))).pop() {
        Some(pb::address::Type::Service(service)) => Some(service),
        None => None,
        other => panic!("no service: {other:?}"),
    }
}

fn workloads(world: &World, dirty: &Dirty) -> Vec<pb::Workload> {
    let all = messages(&derive(world, dirty)).into_iter().map(|message| match message {
        pb::address::Type::Workload(workload) => workload,
        pb::address::Type::Service(other) => panic!("no workload: {other:?}"),
    });
    all.collect()
}

fn endpoints(world: &World, name: &str) -> Vec<pb::Workload> {
    workloads(world, &Dirty::Entry(Key::new("shop", name)))
}

fn of_entry(world: &World, name: &str) -> pb::Workload {
    workloads(world, &Dirty::WorkloadEntry(Key::new("shop", name))).pop().expect("a workload")
}

fn conditions(world: &World, dirty: &Dirty) -> Vec<(String, bool, String)> {
    let all = derive(world, dirty).conditions.into_iter().flat_map(|(_, all)| all);
    all.map(|c| (c.kind, c.status, c.reason)).collect()
}

fn entry_conditions(world: &World, name: &str) -> Vec<(String, bool, String)> {
    conditions(world, &Dirty::Entry(Key::new("shop", name)))
}

fn ports(list: &pb::PortList) -> Vec<(u32, u32)> {
    list.ports.iter().map(|p| (p.service_port, p.target_port)).collect()
}

#[test]
fn a_host_becomes_a_service() {
    let world = world(&entry(
        "api",
        "",
        "hosts: [api.example.com, other.example.com], addresses: [192.0.2.7, 198.51.100.0/24],
         resolution: STATIC, endpoints: [{address: 203.0.113.5}],
         subjectAltNames: ['spiffe://td/ns/a/sa/b']",
    ));
    for host in ["api.example.com", "other.example.com"] {
        let service = service(&world, host).expect(host);
        assert_eq!((service.name.as_str(), service.hostname.as_str()), ("api", host));
        let addresses: Vec<_> =
            service.addresses.iter().map(|a| (a.address.clone(), a.length)).collect();
        assert_eq!(
            addresses,
            [(vec![192, 0, 2, 7], None), (vec![198, 51, 100, 0], Some(24))],
            "a block has its length, an address has none"
        );
        let port = |service_port, target_port, app: pb::AppProtocol| pb::Port {
            service_port,
            target_port,
            app_protocol: app.into(),
        };
        let want = [port(80, 80, pb::AppProtocol::Http11), port(443, 8443, pb::AppProtocol::Tls)];
        assert_eq!(service.ports, want);
        assert_eq!(service.subject_alt_names, ["spiffe://td/ns/a/sa/b"]);
        assert_eq!(service.ip_families(), pb::IpFamilies::Automatic);
        assert_eq!(service.visibility(), pb::service::Visibility::Public);
        assert!(service.canonical && service.load_balancing.is_none());
    }
}

#[test]
fn what_resolution_means_on_the_wire() {
    let with = |resolution: &str| {
        world(&entry("api", "", &format!("hosts: [api.example.com], resolution: {resolution}")))
    };
    let none = with("NONE");
    let balancing = service(&none, "api.example.com").and_then(|s| s.load_balancing).expect("set");
    assert_eq!(
        (balancing.mode(), balancing.health_policy()),
        (Mode::Passthrough, HealthPolicy::AllowAll)
    );
    assert!(endpoints(&none, "api").is_empty());
    for resolution in ["DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] {
        let world = with(resolution);
        assert!(service(&world, "api.example.com").expect(resolution).load_balancing.is_none());
        let [implicit] = &endpoints(&world, "api")[..] else { panic!("one: {resolution}") };
        assert_eq!(
            implicit.uid,
            "Kubernetes/networking.istio.io/ServiceEntry/shop/api/api.example.com"
        );
        assert_eq!(implicit.hostname, "api.example.com");
        assert!(implicit.addresses.is_empty() && implicit.waypoint.is_none());
        assert_eq!(ports(&implicit.services["shop/api.example.com"]), [(80, 80), (443, 8443)]);
    }
}

#[test]
fn each_host_of_an_entry_has_an_implicit_endpoint_of_its_own() {
    let bound = ", labels: {istio.io/use-waypoint: wp}";
    let world =
        world(&entry("api", bound, "hosts: [a.example.com, b.example.com], resolution: DNS"));
    let [a, b] = &endpoints(&world, "api")[..] else { panic!("two") };
    for (one, host) in [(a, "a.example.com"), (b, "b.example.com")] {
        assert_eq!(one.hostname, host);
        let services: Vec<&String> = one.services.keys().collect();
        assert_eq!(services, [&format!("shop/{host}")], "no traffic of one goes to the other");
        assert!(one.waypoint.is_none(), "an address of a name is nobody's");
    }
    assert!(service(&world, "a.example.com").is_some_and(|s| s.waypoint.is_some()));
}

#[test]
fn an_endpoint_becomes_a_workload() {
    let world = world(&entry(
        "api",
        "",
        "hosts: [api.example.com], resolution: DNS, endpoints: [
         {address: 203.0.113.5, ports: {http: 8080}, weight: 5, locality: r/z/s, labels: {app: x},
          serviceAccount: api}, {address: db.example.com, network: far}]",
    ));
    let [ip, host] = &endpoints(&world, "api")[..] else { panic!("two") };
    let want = pb::Workload {
        uid: "Kubernetes/networking.istio.io/ServiceEntry/shop/api/203.0.113.5".to_owned(),
        name: "api".to_owned(),
        namespace: "shop".to_owned(),
        addresses: vec![vec![203, 0, 113, 5]],
        service_account: "api".to_owned(),
        canonical_name: "x".to_owned(),
        canonical_revision: "latest".to_owned(),
        workload_type: pb::WorkloadType::Pod.into(),
        workload_name: "api".to_owned(),
        cluster_id: "Kubernetes".to_owned(),
        capacity: Some(5),
        locality: Some(pb::Locality {
            region: "r".to_owned(),
            zone: "z".to_owned(),
            subzone: "s".to_owned(),
        }),
        services: ip.services.clone(),
        ..pb::Workload::default()
    };
    assert_eq!(*ip, want, "no node, no tunnel, healthy");
    assert_eq!(ports(&ip.services["shop/api.example.com"]), [(80, 8080), (443, 8443)]);
    assert_eq!((host.hostname.as_str(), host.network.as_str()), ("db.example.com", "far"));
    assert!(host.addresses.is_empty() && host.capacity.is_none());
}

#[test]
fn pods_and_workload_entries_join_by_selector() {
    let yaml = POD.to_owned()
        + &workload_entry("vm", "", "address: 10.9.0.1, labels: {app: db}, ports: {http: 8080}")
        + &workload_entry("other", "", "address: 10.9.0.2, labels: {app: web}")
        + &entry(
            "db",
            "",
            "hosts: [db.example.com], resolution: STATIC, workloadSelector: {labels: {app: db}}",
        );
    let world = world(&yaml);
    assert!(endpoints(&world, "db").is_empty(), "it names none itself");
    let pod = workloads(&world, &Dirty::Pod(Key::new("shop", "pod"))).pop().expect("the pod");
    assert_eq!(ports(&pod.services["shop/db.example.com"]), [(80, 80), (443, 8443)]);
    let vm = of_entry(&world, "vm");
    assert_eq!(ports(&vm.services["shop/db.example.com"]), [(80, 8080), (443, 8443)]);
    assert!(of_entry(&world, "other").services.is_empty());
    assert!(entry_conditions(&world, "db").iter().all(|(kind, ..)| kind != brand::ENDPOINTS));
}

#[test]
fn a_selector_that_finds_nobody_says_so() {
    let world = world(&entry(
        "db",
        "",
        "hosts: [db.example.com], addresses: [192.0.2.1], resolution: STATIC,
         workloadSelector: {labels: {app: db}}",
    ));
    let none = (brand::ENDPOINTS.to_owned(), false, "NoEndpoints".to_owned());
    assert_eq!(entry_conditions(&world, "db"), [none]);
}

#[test]
fn a_workload_entry_becomes_a_workload() {
    let yaml = workload_entry(
        "vm",
        ", annotations: {istio.io/autoRegistrationGroup: vms}",
        "address: 10.9.0.1, labels: {app: db, version: v2}, serviceAccount: db, weight: 2,
         locality: r/z, network: ''",
    );
    let vm = of_entry(&world(&yaml), "vm");
    let want = pb::Workload {
        uid: "Kubernetes/networking.istio.io/WorkloadEntry/shop/vm".to_owned(),
        name: "vm".to_owned(),
        namespace: "shop".to_owned(),
        addresses: vec![vec![10, 9, 0, 1]],
        service_account: "db".to_owned(),
        canonical_name: "db".to_owned(),
        canonical_revision: "v2".to_owned(),
        workload_type: pb::WorkloadType::Pod.into(),
        workload_name: "vms".to_owned(),
        cluster_id: "Kubernetes".to_owned(),
        capacity: Some(2),
        locality: Some(pb::Locality {
            region: "r".to_owned(),
            zone: "z".to_owned(),
            subzone: String::new(),
        }),
        services: BTreeMap::new(),
        ..pb::Workload::default()
    };
    assert_eq!(vm, want);
    let named = workload_entry("vm", "", "address: db.example.com, labels: {app: db}");
    let named = of_entry(&world(&named), "vm");
    assert_eq!((named.hostname.as_str(), named.addresses.len()), ("db.example.com", 0));
}

#[test]
fn a_workload_entry_speaks_hbone_only_when_it_says_so() {
    use pb::TunnelProtocol::{Hbone, None};
    for (case, meta, labels, tunnel, native) in [
        ("nothing", "", "app: x", None, false),
        ("label of the spec", "", "networking.istio.io/tunnel: http", Hbone, true),
        (
            "label of the object",
            ", labels: {networking.istio.io/tunnel: http}",
            "a: b",
            Hbone,
            true,
        ),
        ("another tunnel", "", "networking.istio.io/tunnel: mtls", None, false),
        (
            "a node proxy has its traffic",
            ", annotations: {ambient.istio.io/redirection: enabled}",
            "a: b",
            Hbone,
            false,
        ),
    ] {
        let yaml = workload_entry("vm", meta, &format!("address: 10.9.0.1, labels: {{{labels}}}"));
        let vm = of_entry(&world(&yaml), "vm");
        assert_eq!((vm.tunnel_protocol(), vm.native_tunnel), (tunnel, native), "{case}");
        assert_eq!(vm.status(), pb::WorkloadStatus::Healthy, "{case}: always");
    }
}

#[test]
fn services_have_workload_entries_of_their_namespace() {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: db}
  ports: [{name: sql, port: 5432}, {name: web, port: 80, targetPort: http}, {name: lost, port: 9, targetPort: none}]
---
"
    .to_owned()
        + &workload_entry("vm", "", "address: 10.9.0.1, labels: {app: db}, ports: {http: 8080}");
    let world = world(&yaml);
    let vm = of_entry(&world, "vm");
    assert_eq!(ports(&vm.services["shop/db.shop.svc.cluster.local"]), [(5432, 5432), (80, 8080)]);
    let service = Dirty::Service(Key::new("shop", "db"));
    assert!(conditions(&world, &service).is_empty(), "somebody stands behind it");
}

#[test]
fn policies_choose_workload_entries_and_endpoints_as_they_choose_pods() {
    let yaml = workload_entry("vm", "", "address: 10.9.0.1, labels: {app: db}")
        + &entry(
            "api",
            "",
            "hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.9.0.2, labels: {app: db}}]",
        )
        + "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {selector: {matchLabels: {app: db}}, rules: [{}]}\n---\n"
        + "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: STRICT}}\n";
    let world = world(&yaml);
    let want = ["istio-system/istio_converted_static_strict", "shop/p"];
    assert_eq!(of_entry(&world, "vm").authorization_policies, want);
    assert_eq!(endpoints(&world, "api")[0].authorization_policies, want);
}

#[test]
fn one_object_has_a_host_of_a_namespace() {
    let dated = |name: &str, at: &str| {
        let meta = format!(", creationTimestamp: '2026-01-0{at}T00:00:00Z'");
        entry(name, &meta, "hosts: [a.example.com], resolution: DNS")
    };
    let world_ = world(&(dated("young", "2") + &dated("old", "1")));
    assert_eq!(service(&world_, "a.example.com").map(|s| s.name).as_deref(), Some("old"));
    assert!(endpoints(&world_, "young").is_empty(), "nothing of it is reached");
    let taken = (brand::HOSTS.to_owned(), false, "HostTaken".to_owned());
    assert!(entry_conditions(&world_, "young").contains(&taken));
    assert!(!entry_conditions(&world_, "old").contains(&taken));

    let local = entry("mine", "", "hosts: [db.shop.svc.cluster.local], resolution: DNS");
    let service_ = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
    let world_ = world(&(local + service_));
    assert!(service(&world_, "db.shop.svc.cluster.local").is_none(), "the Service's");
    assert!(entry_conditions(&world_, "mine").contains(&taken));
}

#[test]
fn one_service_of_a_host_is_canonical_in_the_mesh() {
    let of = |namespace: &str, at: u8, spec: &str| {
        let meta = format!(", creationTimestamp: '2026-01-0{at}T00:00:00Z'");
        entry("api", &meta, &format!("hosts: [a.example.com], resolution: DNS{spec}"))
            .replace("namespace: shop", &format!("namespace: {namespace}"))
    };
    let canonical = |yaml: &str| {
        let world = world(yaml);
        let is = |namespace: &str| {
            let dirty = Dirty::Host(Key::new(namespace, "a.example.com"));
            match messages(&derive(&world, &dirty)).pop() {
                Some(pb::address::Type::Service(service)) => Some(service.canonical),
                _ => None,
            }
        };
        (is("shop"), is("bank"))
    };
    let (bank, hidden) = (of("bank", 1, ""), of("bank", 1, ", exportTo: ['.']"));
    assert_eq!(canonical(&(of("shop", 2, "") + &bank)), (Some(false), Some(true)), "the oldest");
    assert_eq!(canonical(&(of("shop", 2, "") + &hidden)), (Some(true), Some(false)), "hidden");
    let unseen = of("bank", 1, ", exportTo: ['~']");
    assert_eq!(canonical(&(of("shop", 2, "") + &unseen)), (Some(true), None), "not sent");
}

#[test]
fn what_nobody_sees_is_not_sent() {
    let world = world(&entry("api", "", "hosts: [a.b], resolution: DNS, exportTo: ['~']"));
    assert!(service(&world, "a.b").is_none() && endpoints(&world, "api").is_empty());
    let hidden = world_of_hidden();
    let service = service(&hidden, "a.b").expect("sent");
    assert_eq!(service.visibility(), pb::service::Visibility::Namespace);
    assert!(!service.canonical);
}

fn world_of_hidden() -> World {
    world(&entry("api", "", "hosts: [a.b], resolution: DNS, exportTo: ['.']"))
}

#[test]
fn a_host_has_the_addresses_that_it_was_given() {
    let mut world_ = world(&entry("api", "", "hosts: [a.b], resolution: DNS"));
    let none = (brand::ADDRESSES.to_owned(), false, "Exhausted".to_owned());
    assert!(entry_conditions(&world_, "api").contains(&none));
    let given = ["240.240.0.9", "2001:2::9"].map(|ip| ip.parse().expect("an address"));
    world_.vips.set(&Key::new("shop", "api"), Given::from([("a.b".to_owned(), given.to_vec())]));
    let service = service(&world_, "a.b").expect("sent");
    assert_eq!(service.addresses[0].address, [240, 240, 0, 9]);
    assert_eq!(service.addresses.len(), 2);
    assert!(!entry_conditions(&world_, "api").contains(&none));
    let derived = derive(&world_, &Dirty::Host(Key::new("shop", "a.b")));
    assert_eq!(derived.resources[0].aliases, ["/240.240.0.9", "/2001:2::9"]);
}

const WAYPOINT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: m, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}
---
";

#[test]
fn a_bound_entry_cannot_be_reached_around_its_waypoint() {
    let bound = ", labels: {istio.io/use-waypoint: wp}";
    let yaml = POD.to_owned()
        + WAYPOINT
        + &entry(
            "db",
            bound,
            "hosts: [db.example.com], resolution: STATIC, workloadSelector: {labels: {app: db}}",
        )
        + &entry(
            "api",
            bound,
            "hosts: [api.example.com], resolution: STATIC, endpoints: [
             {address: 10.9.0.2, labels: {networking.istio.io/tunnel: http}, serviceAccount: api}]",
        )
        + &workload_entry("vm", "", "address: 10.9.0.1, labels: {app: db}, ports: {http: 8080}");
    let world = world(&yaml);
    let service = service(&world, "db.example.com").expect("sent");
    assert!(service.waypoint.is_some());
    for (case, dirty, want) in [
        ("pod", Dirty::Pod(Key::new("shop", "pod")), vec![80, 8443]),
        ("workload entry", Dirty::WorkloadEntry(Key::new("shop", "vm")), vec![8080, 8443]),
        ("endpoint", Dirty::Entry(Key::new("shop", "api")), vec![80, 8443]),
    ] {
        let derived = derive(&world, &dirty);
        let workload = workloads(&world, &dirty).pop().expect(case);
        assert!(workload.waypoint.is_some(), "{case}: its address takes the same way");
        let ports: Vec<u16> = derived.guards.iter().filter_map(|g| g.port).collect();
        assert_eq!(ports, want, "{case}");
        for name in derived.guards.iter().map(Guard::full_name) {
            assert!(workload.authorization_policies.contains(&name), "{case}: {name}");
        }
    }
    let accepted = ("istio.io/WaypointBound".to_owned(), true, "WaypointAccepted".to_owned());
    assert!(entry_conditions(&world, "db").contains(&accepted));
}

#[test]
fn a_waypoint_is_named_or_its_absence_told_of() {
    let wp = |more: &str| format!(", labels: {{istio.io/use-waypoint: wp{more}}}");
    let wild = "hosts: ['*.example.com'], resolution: DYNAMIC_DNS";
    let plain = "hosts: [a.example.com], resolution: DNS";
    let racing = ", annotations: {istio.io/connect-strategy: RACE_FIRST_TCP_CONNECT}";
    let bound = "istio.io/WaypointBound";
    let missing = "istio.io/WaypointMissing";
    for (case, meta, spec, gateway, want) in [
        ("none asked for", "", plain, true, None),
        ("there", &*wp(""), plain, true, Some((bound, true, "WaypointAccepted"))),
        ("absent", &wp(""), plain, false, Some((bound, false, "WaypointIsNotReady"))),
        ("a wildcard", "", wild, true, Some((missing, true, "NoWaypointForWildcardService"))),
        ("a wildcard with one", &wp(""), wild, true, Some((bound, true, "WaypointAccepted"))),
        (
            "racing",
            racing,
            plain,
            true,
            Some((missing, true, "NoWaypointForRacingConnectStrategy")),
        ),
    ] {
        let gateway = if gateway { WAYPOINT } else { "" };
        let mut world = world(&(entry("api", meta, spec) + gateway));
        let key = Key::new("shop", "api");
        let (given, _) = world.vips.allot(world.entry(&key).expect("there"), |_| false);
        world.vips.set(&key, given);
        let found = entry_conditions(&world, "api");
        let want: Vec<_> =
            want.iter().map(|(k, s, r)| ((*k).to_owned(), *s, (*r).to_owned())).collect();
        assert_eq!(found, want, "{case}");
    }
}

#[test]
fn what_only_its_namespace_sees_is_not_bound_across_namespaces() {
    let meta = ", labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: shop}";
    for (case, namespace, export, reason) in [
        ("its own", "shop", "['.']", "WaypointAccepted"),
        ("another, public", "bank", "['*']", "WaypointAccepted"),
        ("another, hidden", "bank", "['.']", "CrossNamespaceWaypointForbidden"),
    ] {
        let spec =
            format!("hosts: [a.b], addresses: [192.0.2.1], resolution: DNS, exportTo: {export}");
        let yaml = entry("api", meta, &spec);
        let yaml = yaml.replacen("namespace: shop,", &format!("namespace: {namespace},"), 1);
        let world = world(&(yaml + WAYPOINT));
        let dirty = Dirty::Entry(Key::new(namespace, "api"));
        let found = conditions(&world, &dirty);
        let (_, _, found) = found.first().unwrap_or_else(|| panic!("{case}: a condition"));
        assert_eq!(found, reason, "{case}");
    }
}

#[test]
fn a_workload_entry_says_whether_its_waypoint_is_used() {
    let all = WAYPOINT.replace(
        "name: wp, namespace: shop",
        "name: wp, namespace: shop, labels: {istio.io/waypoint-for: all}",
    );
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/use-waypoint: wp}}\n---\n";
    let labelled = ", labels: {istio.io/use-waypoint: wp}";
    for (case, meta, more, want) in [
        ("not asked for", "", WAYPOINT.to_owned(), None),
        ("for services only, inherited", "", WAYPOINT.to_owned() + namespace, None),
        ("for services only", labelled, WAYPOINT.to_owned(), Some("UnsupportedTrafficType")),
        ("for all", labelled, all, Some("WaypointAccepted")),
        ("absent", labelled, String::new(), Some("WaypointIsNotReady")),
    ] {
        let world = world(&(workload_entry("vm", meta, "address: 10.9.0.1") + &more));
        let found = conditions(&world, &Dirty::WorkloadEntry(Key::new("shop", "vm")));
        let reasons: Vec<&str> = found.iter().map(|(_, _, reason)| reason.as_str()).collect();
        assert_eq!(reasons, want.into_iter().collect::<Vec<_>>(), "{case}");
    }
}
