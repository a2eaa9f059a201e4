//! Labels enrol running pods of a real cluster, and new ones before they start.

use std::path::Path;
use std::time::Duration;

use cluster::ambit::{NAMESPACE, ambit, manifests};
use cluster::audit;
use cluster::plan::Plan;
use cluster::{Cluster, folders};
use serde_json::Value;
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// More than a change takes; less than anybody waits.
const SOON: Duration = Duration::from_secs(20);
/// A node that boots starts its pods again.
const REBOOT: Duration = Duration::from_mins(2);

/// What the server says: not to be seen on the wire.
const SECRET: &str = "the-price-is-42";

/// A server on `node-b` and a client on `node-a`, without any label of a mesh; and a stranger
/// in another namespace.
const PROGRAMS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: elsewhere}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: server, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server}}
spec:
  serviceAccountName: server
  nodeName: node-b
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: local.test/base:1
      imagePullPolicy: Never
      command: [/bin/sh, -c, 'mkdir /www; echo SECRET > /www/index.html; exec httpd -f -p 8080 -h /www']
      readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
";

const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  nodeName: node-a
  terminationGracePeriodSeconds: 0
  containers:
    - name: client
      image: local.test/base:1
      imagePullPolicy: Never
      command: [sleep, '2147483647']
";

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: of-sidecars, namespace: shop}
spec:
  selector: {matchLabels: {app: server}}
  jwtRules: [{issuer: 'https://issuer.example', jwksUri: 'https://issuer.example/keys'}]
";

const DENY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-clients, namespace: shop}
spec:
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/default]}}]}]
";

/// What runs outside, bound to a waypoint that is not there: there is something to say of both.
const OUTSIDE: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop, labels: {istio.io/use-waypoint: nobody}}
spec: {hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, labels: {istio.io/use-waypoint: nobody}}
spec: {address: 192.0.2.9}
";

struct Shop<'a>(&'a Cluster);

impl Shop<'_> {
    /// What a client gets from `url`.
    fn ask(&self, client: (&str, &str), url: &str) -> anyhow::Result<String> {
        let (namespace, pod) = client;
        let fetch = ["exec", "-n", namespace, pod, "--", "curl", "-sSf", "--max-time", "2", url];
        self.0.kubectl().run(&fetch)
    }

    fn serves(&self, client: (&str, &str), url: &str) -> bool {
        self.ask(client, url).is_ok_and(|page| page.trim() == SECRET)
    }

    async fn comes_to_serve(&self, client: (&str, &str), limit: Duration) -> anyhow::Result<()> {
        let served = async || self.serves(client, "http://server.shop/");
        eventually(format!("{client:?} is served"), limit, served).await?;
        Ok(())
    }

    /// Every address of the server's Service, and of its pod, as URLs.
    fn urls(&self) -> anyhow::Result<Vec<String>> {
        let service = self.0.kubectl().get(&["service", "server", "-n", "shop"])?;
        let pod = self.pod("server")?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let url = |address: &str, port: u16| {
            if address.contains(':') {
                format!("http://[{address}]:{port}/")
            } else {
                format!("http://{address}:{port}/")
            }
        };
        let services = list(&service["spec"]["clusterIPs"]);
        let pods = list(&pod["status"]["podIPs"]);
        let services = services.iter().map(|ip| url(&text(ip), 80));
        let pods = pods.iter().map(|ip| url(&text(&ip["ip"]), 8080));
        let all: Vec<String> = services.chain(pods).collect();
        anyhow::ensure!(all.len() == 4, "both families of both: {all:?}");
        Ok(all)
    }

    fn pod(&self, name: &str) -> anyhow::Result<Value> {
        self.0.kubectl().get(&["pod", name, "-n", "shop"])
    }

    /// What the node says of a pod: its annotation, and the status of its condition.
    fn word(&self, name: &str) -> (Option<String>, Option<String>) {
        let Ok(pod) = self.pod(name) else { return (None, None) };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ours = conditions.iter().find(|c| c["type"] == "ambit.dev/Enrolled");
        let annotation = &pod["metadata"]["annotations"]["ambient.istio.io/redirection"];
        (text(annotation), ours.and_then(|c| text(&c["status"])))
    }

    async fn is_enrolled(&self, names: &[&str], limit: Duration) -> anyhow::Result<()> {
        let enrolled = (Some("enabled".to_owned()), Some("True".to_owned()));
        for name in names {
            let told = async || self.word(name) == enrolled;
            eventually(format!("{name} is enrolled"), limit, told).await?;
        }
        Ok(())
    }

    fn label(&self, value: &str) -> anyhow::Result<()> {
        let label = format!("istio.io/dataplane-mode{value}");
        self.0.kubectl().run(&["label", "namespace", "shop", &label])?;
        Ok(())
    }

    /// Whether probes of the server succeeded since its start, and it was never started again.
    fn is_undisturbed(&self) -> anyhow::Result<()> {
        let pod = self.pod("server")?;
        let status = &pod["status"]["containerStatuses"][0];
        anyhow::ensure!(status["restartCount"] == 0, "the server was started again: {status}");
        anyhow::ensure!(status["ready"] == true, "the server's probe fails: {status}");
        Ok(())
    }
}

const ADMIN: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: '', name: server}]
  action: DENY
  rules: [{to: [{operation: {paths: [/admin, /admin/*]}}]}]
";

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: server, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: server, port: 80}]
  rules: [{backendRefs: [{name: nowhere, port: 80}]}]
";

const GRPC_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: server, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: server, port: 80}]
  rules: [{matches: [{method: {service: shop.Prices}}], backendRefs: [{name: server, port: 80}]}]
";

/// A Gateway of the user's own, with a wish and a name for what is made.
const FRONT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: wishes, namespace: shop}
data: {deployment: 'spec: {minReadySeconds: 1}'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop, annotations: {gateway.istio.io/name-override: NAME}}
spec:
  gatewayClassName: ambit-waypoint
  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: wishes}}
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
";

/// The namespace's label makes a waypoint, which decides by paths and cannot be walked around.
async fn waypoint_scene(shop: &Shop<'_>) -> anyhow::Result<()> {
    let kubectl = shop.0.kubectl();
    kubectl.run(&["label", "namespace", "shop", "ambit.dev/waypoint=entry"])?;
    let gateway = || kubectl.get(&["gateway", "entry", "-n", "shop"]).unwrap_or_default();
    let programmed = async || {
        let conditions = gateway()["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Programmed" && c["status"] == "True")
    };
    eventually("the waypoint is programmed", REBOOT, programmed).await?;
    kubectl.apply(ADMIN)?;
    let code = |url: &str| {
        let curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2", url];
        let all = [["exec", "-n", "shop", "client", "--"].as_slice(), &curl].concat();
        kubectl.run(&all).unwrap_or_default()
    };
    let decided = async || code("http://server.shop/admin") == "403";
    eventually("the waypoint decides", SOON, decided).await?;
    shop.comes_to_serve(CLIENT_POD, SOON).await?;
    assert_eq!(code("http://server.shop/nothing"), "404", "the server's own answer");
    // Not around it, by the address of the pod.
    let address = shop.pod("server")?["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    assert_eq!(code(&format!("http://{address}:8080/admin")), "403", "by address");

    kubectl.apply(ROUTE)?;
    let broken = async || code("http://server.shop/") == "500";
    eventually("the route without a backend answers", SOON, broken).await?;
    kubectl.run(&["delete", "httproute", "-n", "shop", "server"])?;
    kubectl.apply(GRPC_ROUTE)?;
    let judged = async || {
        let route = kubectl.get(&["grpcroute", "server", "-n", "shop"]).unwrap_or_default();
        route["status"]["parents"][0]["controllerName"] == "ambit.dev/waypoint"
    };
    eventually("the gRPC route is judged", SOON, judged).await?;
    kubectl.run(&["delete", "grpcroute", "-n", "shop", "server"])?;
    shop.comes_to_serve(CLIENT_POD, SOON).await?;

    // What is made follows the Gateway's wish for a name; what had the old one goes.
    kubectl.apply(&FRONT.replace("NAME", "one"))?;
    let there = |name: &str| kubectl.get(&["deployment", name, "-n", "shop"]).is_ok();
    eventually("it is made", SOON, async || there("one")).await?;
    kubectl.apply(&FRONT.replace("NAME", "two"))?;
    eventually("it is renamed", SOON, async || there("two") && !there("one")).await?;
    kubectl.run(&["delete", "gateway", "-n", "shop", "front"])?;

    kubectl.run(&["label", "namespace", "shop", "ambit.dev/waypoint-"])?;
    kubectl.run(&["delete", "authorizationpolicy", "-n", "shop", "no-admin"])?;
    eventually("the waypoint is gone", REBOOT, async || !there("entry")).await?;
    shop.comes_to_serve(CLIENT_POD, SOON).await
}

const CLIENT_POD: (&str, &str) = ("shop", "client");
const STRANGER: (&str, &str) = ("elsewhere", "stranger");

fn client(namespace: &str, name: &str) -> String {
    CLIENT.replace("NAMESPACE", namespace).replace("NAME", name)
}

/// Asks every URL and returns what was on the wire meanwhile.
async fn recorded(
    cluster: &Cluster,
    client: (&str, &str),
    urls: &[String],
) -> anyhow::Result<testbed::capture::Recording> {
    let node = cluster.nodes().last().expect("two nodes");
    let capture = node.capture_pods()?;
    for url in urls {
        let answer = Shop(cluster).ask(client, url)?;
        anyhow::ensure!(answer.trim() == SECRET, "{url}: {answer}");
    }
    Ok(capture.stop().await?)
}

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 600;
    async fn labels_enrol_pods_that_run_and_pods_that_start(_bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new("enrolment", 2, &folders::target(), &program);
        let say = |what: &str| eprintln!("{what}");
        let mut cluster = Cluster::start(&plan, &folders::binaries()?, &[], &say).await?;
        say("installing Ambit");
        cluster.kubectl().apply(&folders::binaries()?.gateway_api()?)?;
        cluster.install_ambit(&plan)?;
        // The command and the kustomization make the same.
        let base = manifests("base").display().to_string();
        cluster.kubectl().run(&["diff", "--server-side", "--force-conflicts", "-k", &base])?;
        let dry = ambit(&plan, &["upgrade", "--dry-run"])?;
        assert!(dry.starts_with("0 objects would change"), "{dry}");
        cluster.kubectl().apply(&PROGRAMS.replace("SECRET", SECRET))?;
        cluster.kubectl().apply(&client("shop", "client"))?;
        cluster.kubectl().apply(&client("elsewhere", "stranger"))?;
        let shop = Shop(&cluster);
        shop.comes_to_serve(CLIENT_POD, Duration::from_mins(1)).await?;
        shop.comes_to_serve(STRANGER, SOON).await?;
        let urls = shop.urls()?;
        let plain = recorded(&cluster, CLIENT_POD, &urls).await?;
        assert!(plain.contains(SECRET.as_bytes()), "without the label everybody can read it");

        say("enrolling the namespace");
        shop.label("=ambient")?;
        shop.is_enrolled(&["client", "server"], SOON).await?;
        let tunnelled = async || match recorded(&cluster, CLIENT_POD, &urls).await {
            Ok(recording) => recording.holds_only_tls_to(15008).is_ok_and(|bytes| bytes > 0),
            Err(error) => { eprintln!("{error:#}"); false }
        };
        eventually("only TLS is on the wire", SOON, tunnelled).await?;
        shop.is_undisturbed()?;
        assert!(shop.serves(STRANGER, "http://server.shop/"), "PERMISSIVE");

        say("what runs outside");
        cluster.kubectl().apply(OUTSIDE)?;
        let status = |kind: &str, name: &str| {
            let object = cluster.kubectl().get(&[kind, name, "-n", "shop"]);
            object.unwrap_or_default()["status"].to_string()
        };
        let told = async || {
            status("serviceentry", "api").contains("240.240.")
                && status("workloadentry", "vm").contains("WaypointIsNotReady")
        };
        eventually("both are told how they stand", SOON, told).await?;

        say("policies");
        cluster.kubectl().apply(STRICT)?;
        eventually("what nobody enforces says so", SOON, async || {
            let get = ["requestauthentication", "of-sidecars", "-n", "shop"];
            let object = cluster.kubectl().get(&get).unwrap_or_default();
            object["status"]["conditions"][0]["reason"] == "UnsupportedValue"
        }).await?;
        let refused = async || !shop.serves(STRANGER, "http://server.shop/");
        eventually("the stranger is refused", SOON, refused).await?;
        assert!(shop.serves(CLIENT_POD, "http://server.shop/"), "mutual TLS passes");
        cluster.kubectl().apply(DENY)?;
        let denied = async || !shop.serves(CLIENT_POD, "http://server.shop/");
        eventually("the client is denied", SOON, denied).await?;
        cluster.kubectl().run(&["delete", "authorizationpolicy", "-n", "shop", "no-clients"])?;
        shop.comes_to_serve(CLIENT_POD, SOON).await?;
        // Several periods of the probe went by in STRICT mode.
        tokio::time::sleep(Duration::from_secs(3)).await;
        shop.is_undisturbed()?;

        say("a waypoint by label");
        waypoint_scene(&shop).await?;

        say("a new pod, captured before it starts");
        cluster.kubectl().apply(&client("shop", "late"))?;
        shop.comes_to_serve(("shop", "late"), SOON).await?;
        shop.is_enrolled(&["late"], SOON).await?;

        say("the plugin's configuration is put back");
        let agent = agent_of(&cluster, "node-a")?;
        let config = "/etc/cni/net.d/00-ambit.conflist";
        let exec = |args: &[&str]| {
            let all = [&["exec", "-n", "ambit-system", agent.as_str(), "--"], args].concat();
            cluster.kubectl().run(&all)
        };
        exec(&["sh", "-c", &format!("echo '{{}}' > {config}")])?;
        let back = async || exec(&["cat", config]).is_ok_and(|text| text.contains("ambit-cni"));
        eventually("the configuration is there again", SOON, back).await?;

        say("a node reboots");
        let node = cluster.node("node-b")?;
        let capture = node.capture_pods()?;
        node.crash()?;
        cluster.node("node-b")?.boot().await?;
        cluster.ready().await?;
        let shop = Shop(&cluster);
        shop.comes_to_serve(CLIENT_POD, REBOOT).await?;
        let recording = capture.stop().await?;
        assert!(!recording.contains(SECRET.as_bytes()), "a plaintext packet");
        let refused = shop.ask(STRANGER, "http://server.shop/").is_err();
        assert!(refused, "captured again, and strict");

        say("leaving the mesh");
        let refused = ambit(&plan, &["uninstall"]).expect_err("somebody is enrolled").to_string();
        assert!(refused.contains("namespace shop"), "{refused}");
        cluster.kubectl().run(&["delete", "peerauthentication", "-n", "shop", "strict"])?;
        shop.label("-")?;
        let left = async || shop.word("server") == (None, None);
        eventually("nothing of ours is on the pod", SOON, left).await?;
        let open = async || {
            let urls = shop.urls().unwrap_or_default();
            let seen = recorded(&cluster, CLIENT_POD, &urls).await;
            seen.is_ok_and(|seen| seen.contains(SECRET.as_bytes()))
        };
        eventually("plain again", SOON, open).await?;

        say("uninstalling");
        let granted = audit::granted(cluster.kubectl(), NAMESPACE)?;
        ambit(&plan, &["uninstall"])?;
        cluster.kubectl().run(&["wait", "--for=delete", "namespace/ambit-system", "--timeout=60s"])?;
        for node in &plan.nodes {
            let config = plan.disk(node).join("cni/conf/00-ambit.conflist");
            assert!(!config.exists(), "{} is left", config.display());
        }
        // Rights: nothing was refused for want of one, and none was granted in vain.
        let used = audit::used(&plan, NAMESPACE)?;
        assert!(used.refused.is_empty(), "refused: {:?}", used.refused);
        let unused = used.unused(&granted);
        let unused: Vec<String> = unused.iter().map(ToString::to_string).collect();
        assert!(unused.is_empty(), "granted and never used: {unused:#?}");

        cluster.kubectl().apply(&client("shop", "last"))?;
        Shop(&cluster).comes_to_serve(("shop", "last"), SOON).await?;
        Ok(())
    }
}

/// The node agent's pod on a node.
fn agent_of(cluster: &Cluster, node: &str) -> anyhow::Result<String> {
    let selector = "app.kubernetes.io/name=ambit-node-agent";
    let field = format!("spec.nodeName={node}");
    let pods = ["pods", "-n", "ambit-system", "-l", selector, "--field-selector", &field];
    let pods = cluster.kubectl().get(&pods)?;
    let name = pods["items"][0]["metadata"]["name"].as_str();
    Ok(name.unwrap_or_default().to_owned())
}
