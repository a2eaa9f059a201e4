//! The control plane on a real Kubernetes cluster.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::plan::Plan;
use cluster::{Cluster, folders};
use serde_json::Value;
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const ADMIN: &str = "http://127.0.0.1:15016";
/// More than a change takes; less than anybody waits.
const SOON: Duration = Duration::from_secs(20);

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: shop, labels: {app: store}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: store, image: 'local.test/base:1', imagePullPolicy: Never, command: [sleep, '99999']}
";

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: store, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: store, port: 80}]
  rules: [{backendRefs: [{name: nowhere, port: 80}]}]
";

/// `ambit control` beside the cluster; ends with the value.
struct Control(Child);

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn control(bed: &Testbed, kubeconfig: &Path) -> anyhow::Result<Control> {
    let log = std::fs::File::create(bed.directory("control")?.join("log"))?;
    let child = Command::new(AMBIT)
        .args(["control", "--kubernetes", "--kubeconfig"])
        .arg(kubeconfig)
        .arg("--state")
        .arg(bed.directory("state")?)
        .stdout(log.try_clone()?)
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()?;
    Ok(Control(child))
}

fn page(path: &str) -> anyhow::Result<String> {
    let url = format!("{ADMIN}{path}");
    let output = Command::new("curl").args(["-sSf", "--max-time", "2", &url]).output()?;
    anyhow::ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many workloads and services are served.
fn addresses() -> anyhow::Result<u64> {
    let config: Value = serde_json::from_str(&page("/debug/config")?)?;
    config["resources"]["address"].as_u64().context("no count")
}

/// Waits for the bundle in a namespace: the certificate of the authority's Secret.
async fn has_the_root(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    let bundle = |object: &Value| object["data"]["root-cert.pem"].as_str().map(str::to_owned);
    let found = async || {
        let kubectl = cluster.kubectl();
        let map = kubectl.get(&["configmap", "istio-ca-root-cert", "-n", namespace]).ok()?;
        let secret = kubectl.get(&["secret", "istio-ca-secret", "-n", "istio-system"]).ok()?;
        let root = STANDARD.decode(bundle(&secret)?).ok()?;
        (bundle(&map)?.as_bytes() == root).then_some(())
    };
    eventually("the root is in the namespace", SOON, async || found().await.is_some()).await?;
    Ok(())
}

async fn serves(what: &str, count: u64) -> anyhow::Result<()> {
    eventually(what, SOON, async || addresses().is_ok_and(|found| found == count)).await?;
    Ok(())
}

testbed::scenario! {
    #[ignore = "starts a kubelet"]
    within 400;
    async fn control_follows_the_api_server_through_its_restarts(bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new("source", 1, &folders::target(), &program);
        let binaries = folders::binaries()?;
        let say = |what: &str| eprintln!("{what}");
        let mut cluster = Cluster::start(&plan, &binaries, &[], &say).await?;
        cluster.kubectl().run(&["create", "namespace", "istio-system"])?;
        let _control = control(&bed, &plan.kubeconfig())?;
        eventually("control is ready", SOON, async || page("/ready").is_ok()).await?;
        let before = addresses()?;
        cluster.kubectl().apply(SHOP)?;
        has_the_root(&cluster, "shop").await?;
        // A service; and a workload, once the pod has an address.
        serves("the shop is served", before + 2).await?;

        // A kind whose definition comes later.
        cluster.kubectl().apply(&binaries.gateway_api()?)?;
        let defined = async || cluster.kubectl().apply(ROUTE).is_ok();
        eventually("the definition is in force", SOON, defined).await?;
        let judged = async || {
            page("/debug/status").is_ok_and(|text| text.contains("BackendNotFound"))
        };
        eventually("the route is judged", SOON, judged).await?;

        // Nothing changes while the API server is away, nor when it is back.
        for program in ["kube-apiserver", "etcd"] {
            cluster.control_plane().kill(program)?;
            assert_eq!(addresses()?, before + 2, "{program} is away");
            cluster.control_plane().run(program)?;
            cluster.control_plane().ready().await?;
            let scale = format!("
apiVersion: v1
kind: Service
metadata: {{name: after-{program}, namespace: shop}}
spec: {{selector: {{app: store}}, ports: [{{port: 80}}]}}
");
            cluster.kubectl().apply(&scale)?;
            serves("what comes after is served", before + 3).await?;
            cluster.kubectl().run(&["delete", "service", "-n", "shop", &format!("after-{program}")])?;
            serves("what goes is not", before + 2).await?;
        }
        let gone = ["delete", "configmap", "-n", "shop", "istio-ca-root-cert"];
        cluster.kubectl().run(&gone)?;
        has_the_root(&cluster, "shop").await?;
        cluster.kubectl().run(&["delete", "namespace", "shop", "--wait=false"])?;
        serves("the shop is gone", before).await?;
        Ok(())
    }
}
