//! The cluster with Ambit, and the shop in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use cluster::image::Image;
use cluster::plan::Plan;
use cluster::{Cluster, folders};
use serde_json::Value;
use shop::Tally;
use testbed::eventually;

use super::{AMBIT, SOON, STARTED};

/// The image of the shop's programs.
pub(super) const IMAGE: &str = "local.test/shop:1";
/// What its containers may take to end: they drain for 5 s.
const GRACE: u32 = 15;

/// Two services, each on a node of its own, and a customer; the namespace is enrolled.
const PROGRAMS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: customer, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: customer, namespace: shop}
spec:
  serviceAccountName: customer
  nodeName: node-a
  terminationGracePeriodSeconds: 0
  containers:
    - {name: customer, image: IMAGE, imagePullPolicy: Never, command: [sleep, '2147483647']}
";

/// A Deployment of the shop with its Service and account.
const SERVICE: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, namespace: shop}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      terminationGracePeriodSeconds: GRACE
      containers:
        - name: NAME
          image: IMAGE
          imagePullPolicy: Never
          command: [ambit, shop, serve, ROLE, --drain, '5', --version, VERSION]
          env: [{name: RUST_LOG, value: warn}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
";

/// A waypoint of the shop's namespace.
pub(super) const WAYPOINT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: NAME, namespace: shop}
spec:
  gatewayClassName: ambit-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
";

/// A shop that is open.
pub(super) struct Shop {
    /// Its cluster.
    pub(super) cluster: Cluster,
    /// Names and files of the cluster.
    pub(super) plan: Plan,
}

/// The manifests of a service with so many replicas.
pub(super) fn service(name: &str, role: &str, version: &str, replicas: u8) -> String {
    SERVICE
        .replace("NAME", name)
        .replace("ROLE", role)
        .replace("VERSION", version)
        .replace("REPLICAS", &replicas.to_string())
        .replace("GRACE", &GRACE.to_string())
        .replace("IMAGE", IMAGE)
}

impl Shop {
    /// A cluster named `name` with Ambit, a customer, and the service inventory.
    pub(super) async fn open(name: &str) -> anyhow::Result<Self> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new(name, 2, &folders::target(), &program);
        let binaries = folders::binaries()?;
        let cluster = Cluster::start(&plan, &binaries, &[], &|what| eprintln!("{what}")).await?;
        let tools = ["bed-echo", "bed-load"].map(|tool| program.with_file_name(tool));
        let files = [AMBIT.into(), "/usr/bin/curl".into()].into_iter().chain(tools);
        let empty = Image::new(IMAGE, &["/bin/ambit"]).thin();
        let image = files.into_iter().try_fold(empty, |image, file: PathBuf| image.with(&file))?;
        for node in cluster.nodes() {
            node.import(&image)?;
        }
        cluster.kubectl().apply(&binaries.gateway_api()?)?;
        eprintln!("installing Ambit from its chart");
        cluster.install_ambit_with_helm(&plan, &binaries.path("helm"))?;
        let shop = Self { cluster, plan };
        shop.apply(&PROGRAMS.replace("IMAGE", IMAGE))?;
        shop.apply(&service("inventory", "inventory", "v1", 2))?;
        shop.rolled_out("deployment/inventory")?;
        let served = async || shop.status("customer", "http://inventory.shop/take") == 200;
        eventually("the customer is served", STARTED, served).await?;
        Ok(shop)
    }

    /// Runs kubectl.
    pub(super) fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        self.cluster.kubectl().run(args)
    }

    /// Applies manifests.
    pub(super) fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        self.cluster.kubectl().apply(yaml)
    }

    /// An object of the shop's namespace; null if it is not there.
    pub(super) fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster.kubectl().get(&[kind, name, "-n", "shop"]).unwrap_or_default()
    }

    /// Runs a command in a pod of the shop's namespace.
    pub(super) fn exec(&self, pod: &str, command: &[&str]) -> anyhow::Result<String> {
        self.run(&[&["exec", "-n", "shop", pod, "--"], command].concat())
    }

    /// Starts a command in a pod of the shop's namespace, which ends with its input.
    pub(super) fn talk(&self, pod: &str, command: &[&str]) -> anyhow::Result<Talk> {
        let mut kubectl = self.cluster.kubectl().command();
        kubectl.args(["exec", "-i", "-n", "shop", pod, "--"]).args(command);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Talk(kubectl.spawn()?))
    }

    /// The status that a pod gets from `url`; 0 if it gets none.
    pub(super) fn status(&self, pod: &str, url: &str) -> u16 {
        let curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "3", url];
        // curl fails where it gets no status, but says so.
        self.exec(pod, &curl).ok().and_then(|code| code.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a pod gets this status from `url`.
    pub(super) async fn answers(&self, pod: &str, url: &str, wanted: u16) -> anyhow::Result<()> {
        let mut last = 0;
        let found = async || {
            last = self.status(pod, url);
            last == wanted
        };
        let waited = eventually(format!("{url} answers {wanted}"), SOON, found).await;
        waited.map(drop).with_context(|| format!("the last answer was {last}"))
    }

    /// Waits until a workload's pods are all of its last template, and ready.
    pub(super) fn rolled_out(&self, workload: &str) -> anyhow::Result<()> {
        self.rolled_out_in("shop", workload, STARTED)
    }

    /// The same in any namespace.
    pub(super) fn rolled_out_in(
        &self,
        namespace: &str,
        workload: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let timeout = format!("--timeout={}s", limit.as_secs());
        let status = ["rollout", "status", workload, "-n", namespace, &timeout];
        let words = || self.run(&["get", "pods,events", "-n", namespace]).unwrap_or_default();
        self.run(&status).map(drop).with_context(words)
    }

    /// `count` requests at `rate` a second, each on a connection of its own, from the customer;
    /// without `count` until it is told to end. [`tally`] says what it got.
    pub(super) fn traffic(&self, url: &str, rate: u32, count: Option<u64>) -> anyhow::Result<Talk> {
        let (rate, number) = (rate.to_string(), count.unwrap_or_default().to_string());
        let until = match count {
            Some(_) => vec!["--count", &number],
            None => vec!["--until-input-ends"],
        };
        let words = ["ambit", "shop", "traffic", "--url", url, "--rate", &rate];
        self.talk("customer", &[words.to_vec(), until].concat())
    }
}

/// A program in a pod that ends with its input.
pub(super) struct Talk(Child);

impl Talk {
    /// Closes its input and waits for its end; the last line of its output.
    pub(super) async fn end(mut self) -> anyhow::Result<String> {
        drop(self.0.stdin.take());
        let done = tokio::task::spawn_blocking(move || self.0.wait_with_output()).await??;
        let (said, text) =
            (String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
        let last = text.lines().last().with_context(|| format!("it printed nothing: {said}"))?;
        Ok(last.to_owned())
    }
}

/// What the customer got; traffic that is not counted is told to end.
pub(super) async fn tally(traffic: Talk) -> anyhow::Result<Tally> {
    let said = traffic.end().await?;
    serde_json::from_str(&said).with_context(|| format!("no tally: {said}"))
}

/// How many requests for a service a waypoint has passed on, by the metrics of its instances.
pub(super) fn passed(shop: &Shop, waypoint: &str, service: &str) -> anyhow::Result<u64> {
    let selector = format!("gateway.networking.k8s.io/gateway-name={waypoint}");
    let path = "jsonpath={.items[*].status.podIP}";
    let addresses = shop.run(&["get", "pods", "-n", "shop", "-l", &selector, "-o", path])?;
    let name = format!("destination_service_name=\"{service}\"");
    let mut sum = 0.0;
    for address in addresses.split_whitespace() {
        let url = format!("http://{address}:15020/metrics");
        let page = shop.exec("customer", &["curl", "-sf", "--max-time", "3", &url])?;
        let good = |line: &&str| {
            line.starts_with("istio_requests_total")
                && line.contains(&name)
                && line.contains("response_code=\"200\"")
        };
        let numbers = page.lines().filter(good).filter_map(|line| line.rsplit(' ').next());
        sum += numbers.filter_map(|number| number.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(sum as u64)
}
