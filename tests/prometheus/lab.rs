//! A mesh with something of everything that is measured: tunnels, a waypoint with HTTP, gRPC and
//! plain TCP behind it, an authorizer, and traffic through all of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, yaml};
use testbed::mesh::{Chat, Mesh, MeshPod, PATIENCE};
use testbed::{Process, Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// Descriptors of a ztunnel: so many that its limit of connections is reached before.
const DESCRIPTORS: u32 = 760;
/// Of certificates: short enough that one ends soon without its successor.
const LIFE: &str = "80s";
/// Port of the metrics of another control plane, which is not there at first.
pub(crate) const OTHER_CONTROL: u16 = 15026;

/// The mesh.
pub(crate) struct Lab {
    pub(crate) mesh: Mesh,
    /// Calls the store through the waypoint.
    pub(crate) web: MeshPod,
    pub(crate) waypoint: MeshPod,
    /// Call the server, which has no waypoint.
    pub(crate) client: MeshPod,
    pub(crate) other: MeshPod,
    pub(crate) server: MeshPod,
    /// Not in the mesh: one that enters it, one that enters while there is no ztunnel, and one
    /// that never does.
    pub(crate) old: MeshPod,
    pub(crate) late: MeshPod,
    pub(crate) stray: MeshPod,
    authorizer: Mutex<Option<Process>>,
    open: Mutex<Vec<Chat>>,
    switches: PathBuf,
}

/// The same again and again, in so many loops at once, with a pause in seconds.
pub(crate) fn again(pod: &MeshPod, loops: usize, pause: &str, what: &str) -> anyhow::Result<()> {
    let script = format!("while :; do {what}; sleep {pause}; done");
    for _ in 0..loops {
        pod.keep(pod.command("bash").args(["-c", &script]).named("again").spawn()?);
    }
    Ok(())
}

/// A line to an echo server and the start of its answer.
pub(crate) fn talk(host: &str, port: u16) -> String {
    format!(
        "timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo peer >&3; head -c 1 <&3' >/dev/null 2>&1"
    )
}

impl Lab {
    pub(crate) async fn open(bed: &Testbed) -> anyhow::Result<Self> {
        let [resolver, _] = bed.infra_ips();
        // Nobody answers there. In place, because the file is bind-mounted over /etc/resolv.conf.
        fs::write(bed.directory("")?.join("resolv.conf"), format!("nameserver {resolver}\n"))?;
        let switches = bed.directory("switches")?;
        let ztunnel = switches.join("ztunnel.sh");
        let script = format!(
            "#!/bin/sh\n[ ! -e {}/no-$NODE_NAME ] || exit 1\nulimit -n {DESCRIPTORS}\nexec {AMBIT} ztunnel\n",
            switches.display()
        );
        fs::write(&ztunnel, script)?;
        fs::set_permissions(&ztunnel, fs::Permissions::from_mode(0o755))?;
        let options = Mesh::options(AMBIT)
            .ztunnel(ztunnel)
            .control_env("SUBSCRIBER_PATIENCE", "8s")
            .node_env("POOL_MAX_STREAMS_PER_CONNECTION", "1")
            .node_env("SECRET_TTL", LIFE)
            .node_env("AMBIT_POD_MAX_CONNECTIONS", "600");
        let mesh = options.start(bed).await?;

        let store = mesh.pod("shop/store").on("node-b").echoing().enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let files = bed.directory("www")?;
        fs::write(files.join("orders"), "one book")?;
        let serve = ["-m", "http.server", "8080", "--bind", "::", "--directory"];
        store.serve(&store.command("python3").args(serve).arg(&files), 8080).await?;
        let ports = mesh.service("shop/store").named_port("http", 80, 8080).port(7, 7);
        mesh.has_service(&ports.create()?).await?;

        let engine = mesh.pod("shop/engine").on("node-a").enrolled().await?;
        let service = mesh.service("shop/engine").named_port("grpc", 9000, 9000).create()?;
        mesh.has_service(&service).await?;
        let relations = bed.directory("rules")?.join("relations.txt");
        fs::write(&relations, "shop/web reads store:/\n")?;
        let authorizer = engine.command(AMBIT).args(["shop", "policy", "--relations"]);
        let mut authorizer = authorizer.arg(&relations).named("engine").spawn()?;
        authorizer.logs("policy engine ready", PATIENCE).await?;

        let waypoint = mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&store, true).await?;
        mesh.apply(&provider())?;
        mesh.apply(&ask())?;

        let server = mesh.pod("lab/server").on("node-b").echoing().enrolled().await?;
        mesh.has_service(&mesh.service("lab/server").port(7, 7).create()?).await?;
        let lab = Self {
            web,
            waypoint,
            client: mesh.pod("lab/client").on("node-a").enrolled().await?,
            other: mesh.pod("lab/other").on("node-a").enrolled().await?,
            server,
            old: mesh.pod("plain/old").on("node-b").await?,
            late: mesh.pod("late/one").on("node-b").await?,
            stray: mesh.pod("bare/stray").on("node-a").await?,
            authorizer: Mutex::new(Some(authorizer)),
            open: Mutex::default(),
            switches,
            mesh,
        };
        // What starts is refused for a moment; that is no fault to be seen.
        eventually("the store answers", PATIENCE, async || lab.status().await.ok() == Some(200))
            .await?;
        lab.traffic()?;
        Ok(lab)
    }

    /// The status of the store's answer, 0 without one.
    async fn status(&self) -> anyhow::Result<u16> {
        let args = ["--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5"];
        Ok(self.web.curl(args.iter().chain(&["http://store/orders"])).await?.text().parse()?)
    }

    fn traffic(&self) -> anyhow::Result<()> {
        let http = "curl -s -o /dev/null --max-time 5 http://store/orders";
        let grpc = "curl -s -o /dev/null --max-time 5 --http2-prior-knowledge -d '' \
                    -H 'content-type: application/grpc' -H 'te: trailers' http://engine:9000/a.B/C";
        again(&self.web, 1, "0.2", &format!("{http}; {grpc}; {}", talk("store", 7)))?;
        again(&self.client, 1, "0.2", &talk("server", 7))
    }

    /// What Prometheus knows of the pods; the last is not there at first.
    pub(crate) fn targets(&self) -> Vec<Value> {
        let pod = |name: &str, app: &str, node: &str, ip: String, port: u16| {
            target(name, app, node, &ip, port)
        };
        let mut all = Vec::new();
        for machine in self.mesh.nodes() {
            let node = machine.node();
            let named = |kind: &str| format!("{kind}-{}", node.name());
            all.push(pod(
                &named("agent"),
                "ambit-node-agent",
                node.name(),
                node.ip4().to_string(),
                15014,
            ));
            // One family for agents, the other for proxies.
            all.push(pod(
                &named("ztunnel"),
                "ambit-ztunnel",
                node.name(),
                node.ip6().to_string(),
                15020,
            ));
        }
        let mut waypoint = pod("waypoint", "", "node-b", self.waypoint.ip4().to_string(), 15020);
        let label = "__meta_kubernetes_pod_label_gateway_networking_k8s_io_gateway";
        waypoint[format!("{label}_name")] = json!("waypoint");
        waypoint[format!("{label}_class_name")] = json!("ambit-waypoint");
        waypoint["__meta_kubernetes_namespace"] = json!("shop");
        all.push(waypoint);
        let control = |name, port| pod(name, "ambit-control", "infra", "127.0.0.1".into(), port);
        all.extend([control("control", 15016), control("control-other", OTHER_CONTROL)]);
        all
    }

    /// Keeps a connection open.
    pub(crate) fn keep(&self, chat: Chat) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(chat);
    }

    /// Ends those that were kept.
    pub(crate) fn let_go(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The authorizer, to end it.
    pub(crate) fn take_authorizer(&self) -> Option<Process> {
        self.authorizer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// From now on no ztunnel starts on a node.
    pub(crate) fn no_ztunnel_on(&self, node: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.switches.join(format!("no-{node}")), "")?)
    }
}

/// What Prometheus knows of a pod.
pub(crate) fn target(name: &str, app: &str, node: &str, ip: &str, port: u16) -> Value {
    json!({
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_namespace": "ambit-system",
        "__meta_kubernetes_pod_name": name,
        "__meta_kubernetes_pod_node_name": node,
        "__meta_kubernetes_pod_ip": ip,
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": app,
        "__meta_kubernetes_pod_annotation_prometheus_io_port": port.to_string(),
    })
}

/// The mesh configuration with the authorizer.
fn provider() -> Value {
    // Its default of 50 ms is for machines that do nothing else.
    let call = json!({"service": "engine.shop.svc.cluster.local", "port": 9000, "timeout": "2s"});
    let mesh = json!({"extensionProviders": [{"name": "rules", "envoyExtAuthzGrpc": call}]});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": yaml(&mesh)}})
}

/// Requests to the store are the authorizer's to decide.
fn ask() -> Value {
    let spec = json!({
        "targetRefs": [{"kind": "Service", "group": "", "name": "store"}],
        "provider": {"name": "rules"},
        "rules": [{}],
    });
    authorization_policy(("shop", "ask"), "CUSTOM", spec)
}
