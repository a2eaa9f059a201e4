use super::*;
use crate::engine::tests::mesh::Mesh;
use crate::model::report::Report;
use crate::status::Condition;

const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: node-a, annotations: {ambit.dev/waypoint-addresses: 10.1.0.240/28}}\n";
const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint, namespace: shop}\nspec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n";
const OWN_POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: mine, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}\nspec: {nodeName: node-a, containers: []}\nstatus: {podIP: 10.1.0.9}\n";

impl Mesh {
    /// The pods that node-a hears of.
    fn pods(&self) -> Vec<String> {
        self.tables.node_pods.group("node-a").iter().map(|(name, _)| name.to_string()).collect()
    }

    fn programmed(&self) -> Option<Condition> {
        let report = self.board.report();
        let conditions = report.objects.get("Gateway shop/waypoint")?;
        conditions.iter().find(|c| c.kind == "Programmed").cloned()
    }

    fn says(&mut self, ready: bool) {
        self.says_of("node-a", ready);
    }

    fn says_of(&mut self, node: &str, ready: bool) {
        let key = Key::new("shop", &on(node));
        let uid = crate::sync::read(&self.world).pod(&key).expect("deployed").uid.clone();
        self.engine.report(key, &uid, &Report { waypoint_ready: ready, ..Report::default() });
    }

    /// The nodes of the instances that callers may choose.
    fn ready(&self) -> Vec<&'static str> {
        use hbone::wire::pb::istio::workload as pb;
        use prost::Message;
        let healthy = |node: &str| {
            let uid = format!("c//Pod/shop/{}", on(node));
            let entry = self.tables.address.get(&uid).expect("there");
            let address = pb::Address::decode(entry.body).expect("decodes");
            let Some(pb::address::Type::Workload(workload)) = address.r#type else { return false };
            workload.status() == pb::WorkloadStatus::Healthy
        };
        ["node-a", "node-b"].into_iter().filter(|node| healthy(node)).collect()
    }
}

/// The instance of `shop/waypoint` on a node.
fn on(node: &str) -> String {
    plan::instance(&Key::new("shop", "waypoint"), "waypoint", node)
}

#[test]
fn a_gateway_brings_its_waypoint_and_takes_it_along() {
    let mut mesh = Mesh::new();
    mesh.set("gateway", GATEWAY);
    assert!(mesh.pods().is_empty());
    let reason = |mesh: &Mesh| mesh.programmed().map(|c| c.reason);
    assert_eq!(reason(&mesh).as_deref(), Some("NoResources"));
    mesh.set("node", NODE);
    assert_eq!(mesh.pods(), [format!("shop/{}", on("node-a"))]);
    assert_eq!(reason(&mesh).as_deref(), Some("Pending"));
    mesh.says(true);
    assert_eq!(reason(&mesh).as_deref(), Some("Programmed"));
    mesh.says(false);
    assert_eq!(reason(&mesh).as_deref(), Some("Pending"));
    let addresses = mesh.tables.address.len();
    mesh.remove("gateway");
    assert!(mesh.pods().is_empty());
    assert_eq!(mesh.tables.address.len(), addresses - 2, "its workload and its service are gone");
    assert_eq!(mesh.programmed(), None);
}

#[test]
fn pods_that_the_source_writes_take_the_place_of_deployed_ones() {
    let mut mesh = Mesh::new();
    mesh.set("node", NODE);
    mesh.set("gateway", GATEWAY);
    assert_eq!(mesh.pods(), [format!("shop/{}", on("node-a"))]);
    mesh.set("pod", OWN_POD);
    assert_eq!(mesh.pods(), ["shop/mine"]);
    mesh.remove("pod");
    assert_eq!(mesh.pods(), [format!("shop/{}", on("node-a"))]);
}

#[test]
fn an_object_of_the_source_is_left_alone_and_its_removal_is_repaired() {
    let mut mesh = Mesh::new();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: waypoint, namespace: shop}\nspec: {clusterIP: 10.96.0.9, ports: [{port: 15008}]}\n";
    let managed = |mesh: &Mesh| {
        let world = crate::sync::read(&mesh.world);
        world.service(&Key::new("shop", "waypoint")).map(|s| s.meta.labels.len())
    };
    mesh.set("gateway", GATEWAY);
    assert_eq!(managed(&mesh), Some(4));
    mesh.set("service", service);
    assert_eq!(managed(&mesh), Some(0), "the source's own");
    mesh.set("gateway", &GATEWAY.replace("name: mesh", "name: other"));
    assert_eq!(managed(&mesh), Some(0), "and it stays");
    mesh.remove("service");
    assert_eq!(managed(&mesh), Some(4), "deployed again");
    mesh.set("service", service);
    mesh.remove("gateway");
    assert_eq!(managed(&mesh), Some(0), "not taken along");
}

#[test]
fn a_change_elsewhere_deploys_nothing_anew() {
    let mut mesh = Mesh::new();
    mesh.set("node", NODE);
    mesh.set("gateway", GATEWAY);
    let before = mesh.tables.node_pods.revision();
    mesh.set("other", &OWN_POD.replace("gateway.networking.k8s.io/gateway-name", "app"));
    mesh.set("node-b", "apiVersion: v1\nkind: Node\nmetadata: {name: node-b}\n");
    let changes = mesh.tables.node_pods.since(before).expect("not behind");
    let names: Vec<&str> = changes.updated.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["shop/mine"]);
}

#[test]
fn an_instance_on_a_silent_node_is_called_only_where_no_other_is_ready() {
    let mut mesh = Mesh::new();
    mesh.set("a", NODE);
    mesh.set("b", &NODE.replace("node-a", "node-b").replace("240/28", "224/28"));
    mesh.set("gateway", GATEWAY);
    mesh.says_of("node-a", true);
    mesh.says_of("node-b", true);
    let both = ["node-a", "node-b"];
    assert_eq!(mesh.ready(), both);
    mesh.engine.set_silent("node-a", true);
    assert_eq!(mesh.ready(), ["node-b"]);
    mesh.engine.set_silent("node-b", true);
    assert_eq!(mesh.ready(), both, "they may still run, and nobody goes around them");
    mesh.engine.set_silent("node-b", false);
    assert_eq!(mesh.ready(), ["node-b"]);
    mesh.says_of("node-b", false);
    assert_eq!(mesh.ready(), ["node-a"], "the last one that said so");
    mesh.engine.set_silent("node-a", false);
    mesh.says_of("node-b", true);
    assert_eq!(mesh.ready(), both);
}

#[test]
fn a_report_on_a_pod_that_is_gone_is_not_kept() {
    let mut mesh = Mesh::new();
    mesh.set("node", NODE);
    mesh.set("gateway", GATEWAY);
    let key = Key::new("shop", &on("node-a"));
    mesh.engine.report(key.clone(), "another", &Report::default());
    mesh.remove("gateway");
    mesh.engine.report(key, "gone", &Report::default());
    let world = crate::sync::read(&mesh.world);
    assert!(world.report("another").is_none() && world.report("gone").is_none());
}

#[test]
fn places_of_a_gateway_that_went_while_nobody_looked_are_free_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = crate::state::StateDir::open(folder.path()).expect("opens");
    // One address.
    let node = NODE.replace("10.1.0.240/28", "10.1.0.240/32");
    let start = || Mesh::with(Deployer::new(Leases::load(state.clone())));
    let mut mesh = start();
    mesh.set("all", &format!("{node}---\n{GATEWAY}"));
    assert_eq!(mesh.pods(), [format!("shop/{}", on("node-a"))]);
    drop(mesh);
    let mut mesh = start();
    mesh.set("all", &format!("{node}---\n{}", GATEWAY.replace("name: waypoint", "name: other")));
    let [pod] = &mesh.pods()[..] else { panic!("one pod: {:?}", mesh.pods()) };
    assert!(pod.starts_with("shop/other-node-a-"), "{pod}");
}
