//! Waypoints on demand, conditions and Events on a real Kubernetes cluster.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use cluster::audit;
use cluster::image::Image;
use cluster::plan::{GATEWAY, Plan};
use cluster::{Cluster, folders};
use serde_json::Value;
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const IMAGE: &str = "local.test/ambit:1";
/// More than a change takes; less than anybody waits.
const SOON: Duration = Duration::from_secs(30);
/// Until a pod runs and is ready, with all cores busy.
const STARTED: Duration = Duration::from_secs(90);

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
";

const WAYPOINT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec:
  gatewayClassName: ambit-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
";

const KINDS: [&str; 5] =
    ["serviceaccount", "service", "poddisruptionbudget", "deployment", "horizontalpodautoscaler"];

/// The definition of a policy, cut down to what its status needs.
const POLICIES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: authorizationpolicies.security.istio.io}
spec:
  group: security.istio.io
  names: {kind: AuthorizationPolicy, plural: authorizationpolicies, singular: authorizationpolicy}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// The definitions of what runs outside the cluster, as they are installed.
const OUTSIDE: [&str; 2] = [
    include_str!("../../manifests/definitions/service-entry.yaml"),
    include_str!("../../manifests/definitions/workload-entry.yaml"),
];

/// `ambit control` beside the cluster, killed with the value.
struct Control(Child);

impl Control {
    fn start(
        bed: &Testbed,
        name: &str,
        kubeconfig: &Path,
        ports: (u16, u16),
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(bed.directory(name)?.join("log"))?;
        let here = GATEWAY.to_string();
        let child = Command::new(AMBIT)
            .args(["control", "--kubernetes", "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--state")
            .arg(bed.directory(&format!("{name}-state"))?)
            .arg("--listen")
            .arg(format!("{}:{}", Ipv4Addr::UNSPECIFIED, ports.0))
            .arg("--admin")
            .arg(format!("127.0.0.1:{}", ports.1))
            .args(["--server-name", &here, "--waypoint-image", IMAGE])
            .args(["--waypoint-pull-policy", "Never"])
            .arg(format!("--waypoint-control=https://{here}:15012"))
            .env("POD_NAME", name)
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Lab {
    cluster: Cluster,
    kubeconfig: PathBuf,
}

impl Lab {
    async fn start(name: &str, nodes: u8) -> anyhow::Result<Self> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new(name, nodes, &folders::target(), &program);
        let binaries = folders::binaries()?;
        let cluster = Cluster::start(&plan, &binaries, &[], &|what| eprintln!("{what}")).await?;
        let image = Image::new(IMAGE, &["/bin/ambit", "waypoint"]).with(Path::new(AMBIT))?;
        for node in cluster.nodes() {
            node.import(&image)?;
        }
        let lab = Self { cluster, kubeconfig: plan.kubeconfig() };
        lab.apply(&binaries.gateway_api()?)?;
        lab.apply(POLICIES)?;
        lab.apply(SHOP)?;
        let defined =
            async || lab.apply(WAYPOINT).is_ok() && lab.delete("gateway", "waypoint").is_ok();
        eventually("the definitions are in force", SOON, defined).await?;
        Ok(lab)
    }

    fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        self.cluster.kubectl().apply(yaml)
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        self.cluster.kubectl().run(args)
    }

    fn delete(&self, kind: &str, name: &str) -> anyhow::Result<String> {
        self.run(&["delete", kind, name, "-n", "shop", "--wait=false"])
    }

    /// An object of namespace shop; nothing if it is not there.
    fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster.kubectl().get(&[kind, name, "-n", "shop"]).unwrap_or_default()
    }

    fn condition(&self, kind: &str, name: &str, of: &str) -> Value {
        condition(&self.get(kind, name)["status"]["conditions"], of)
    }

    /// Waits until a condition of an object has this reason.
    async fn says(&self, kind: &str, name: &str, of: &str, reason: &str) -> anyhow::Result<Value> {
        let what = format!("{kind} {name} says {of} {reason}");
        let said = async || self.condition(kind, name, of)["reason"] == reason;
        let waited = eventually(&what, SOON, said).await;
        waited.with_context(|| format!("{:#}", self.get(kind, name)["status"]))?;
        Ok(self.condition(kind, name, of))
    }

    async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
        eventually(what, SOON, holds).await?;
        Ok(())
    }
}

fn condition(conditions: &Value, kind: &str) -> Value {
    let all = conditions.as_array().into_iter().flatten();
    all.into_iter().find(|c| c["type"] == kind).cloned().unwrap_or_default()
}

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 600;
    async fn a_gateway_brings_a_waypoint_that_is_kept_as_it_is_and_goes_with_it(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::start("waypoints", 2).await?;
        let mut control = Some(Control::start(&bed, "one", &lab.kubeconfig, (15012, 15016))?);

        // Everything is made, and runs on both nodes.
        lab.apply(WAYPOINT)?;
        for kind in KINDS {
            lab.until(&format!("there is a {kind}"), async || lab.get(kind, "waypoint").is_object()).await?;
            let object = lab.get(kind, "waypoint");
            assert_eq!(object["metadata"]["labels"]["gateway.istio.io/managed"], "istio.io-mesh-controller");
            assert_eq!(object["metadata"]["ownerReferences"][0]["name"], "waypoint", "{kind}");
        }
        let ready = async || lab.get("deployment", "waypoint")["status"]["readyReplicas"] == 2;
        let waited = eventually("two instances are ready", STARTED, ready).await;
        waited.with_context(|| lab.run(&["get", "pods,events", "-n", "shop", "-o", "wide"]).unwrap_or_default())?;
        let label = "gateway.networking.k8s.io/gateway-name=waypoint";
        let nodes = lab.run(&["get", "pods", "-n", "shop", "-l", label, "-o", "jsonpath={.items[*].spec.nodeName}"])?;
        assert!(nodes.contains("node-a") && nodes.contains("node-b"), "{nodes}");

        // The Gateway says so, and where.
        let programmed = lab.says("gateway", "waypoint", "Programmed", "Programmed").await?;
        assert_eq!(programmed["observedGeneration"], 1);
        let status = lab.get("gateway", "waypoint")["status"].clone();
        let vip = lab.get("service", "waypoint")["spec"]["clusterIP"].clone();
        let addresses: Vec<&Value> = status["addresses"].as_array().context("addresses")?.iter().map(|a| &a["value"]).collect();
        assert_eq!(addresses[0], "waypoint.shop.svc.cluster.local");
        assert!(addresses.contains(&&vip), "{addresses:?}");
        assert_eq!(condition(&status["listeners"][0]["conditions"], "Accepted")["status"], "True");

        // What somebody changes or removes is put back; what somebody adds stays.
        lab.run(&["delete", "pdb", "waypoint", "-n", "shop"])?;
        lab.until("the budget is back", async || lab.get("pdb", "waypoint").is_object()).await?;
        lab.run(&["label", "deployment", "waypoint", "-n", "shop", "gateway.networking.k8s.io/gateway-name=x", "mine=1", "--overwrite"])?;
        lab.until("the label is back", async || {
            let labels = lab.get("deployment", "waypoint")["metadata"]["labels"].clone();
            labels["gateway.networking.k8s.io/gateway-name"] == "waypoint" && labels["mine"] == "1"
        }).await?;
        lab.run(&["patch", "deployment", "waypoint", "-n", "shop", "-p", r#"{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}"#])?;
        lab.until("the strategy is back", async || {
            lab.get("deployment", "waypoint")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        }).await?;

        // The owner's wishes, and his mistakes.
        let wish = WAYPOINT.replace("  listeners", "  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: options}}\n  listeners");
        let options = |text: &str| format!("
apiVersion: v1
kind: ConfigMap
metadata: {{name: options, namespace: shop}}
data:
  {text}
");
        lab.apply(&wish)?;
        let missing = lab.says("gateway", "waypoint", "Accepted", "InvalidParameters").await?;
        assert!(missing["message"].as_str().context("text")?.contains("options is not there"), "{missing}");
        lab.apply(&options("deployment: 'spec: {template: {spec: {hostNetwork: true}}}'"))?;
        lab.until("host network is refused", async || {
            lab.condition("gateway", "waypoint", "Accepted")["message"].as_str().is_some_and(|m| m.contains("hostNetwork is not permitted"))
        }).await?;
        lab.apply(&options("deployment: 'spec: {template: {spec: {containers: [{name: istio-proxy, resourcez: {limits: 1}}]}}}'"))?;
        lab.until("an unknown field is refused", async || {
            lab.condition("gateway", "waypoint", "Accepted")["message"].as_str().is_some_and(|m| m.contains("resourcez"))
        }).await?;
        assert_eq!(lab.get("deployment", "waypoint")["metadata"]["generation"], lab.get("deployment", "waypoint")["status"]["observedGeneration"]);
        lab.apply(&options("horizontalPodAutoscaler: 'spec: {maxReplicas: 5}'"))?;
        lab.until("the wish is followed", async || lab.get("hpa", "waypoint")["spec"]["maxReplicas"] == 5).await?;
        lab.says("gateway", "waypoint", "Accepted", "Accepted").await?;

        // Another's object is left alone.
        lab.apply("
apiVersion: v1
kind: Service
metadata: {name: taken, namespace: shop}
spec: {ports: [{port: 80}]}
")?;
        lab.apply(&WAYPOINT.replace("name: waypoint", "name: taken"))?;
        let blocked = lab.says("gateway", "taken", "Programmed", "NoResources").await?;
        assert!(blocked["message"].as_str().context("text")?.contains("Service shop/taken is not ours"), "{blocked}");
        assert_eq!(lab.get("service", "taken")["spec"]["ports"][0]["port"], 80);
        let events = lab.run(&["get", "events.events.k8s.io", "-n", "shop", "-o", "jsonpath={.items[*].note}"])?;
        assert!(events.contains("Service shop/taken is not ours"), "{events}");
        lab.delete("gateway", "taken")?;

        // Two replicas: one writes, and the other as soon as that one is gone.
        let _second = Control::start(&bed, "two", &lab.kubeconfig, (15013, 15017))?;
        drop(control.take());
        lab.run(&["delete", "pdb", "waypoint", "-n", "shop"])?;
        lab.until("the second replica repairs", async || lab.get("pdb", "waypoint").is_object()).await?;
        let lease = lab.run(&["get", "lease", "ambit-control", "-n", "istio-system", "-o", "jsonpath={.spec.holderIdentity}"])?;
        assert!(lease.starts_with("two_"), "{lease}");

        // All goes with the Gateway.
        lab.delete("gateway", "waypoint")?;
        for kind in KINDS {
            lab.until(&format!("no {kind} is left"), async || lab.get(kind, "waypoint").is_null()).await?;
        }
        Ok(())
    }
}

testbed::scenario! {
    #[ignore = "starts a kubelet"]
    within 400;
    async fn conditions_and_labels_are_followed_on_the_objects_themselves(bed: Testbed) -> anyhow::Result<()> {
        let lab = Lab::start("status", 1).await?;
        let _control = Control::start(&bed, "one", &lab.kubeconfig, (15012, 15016))?;

        lab.run(&["label", "namespace", "shop", "ambit.dev/waypoint=entry"])?;
        lab.until("the Gateway is made", async || lab.get("gateway", "entry").is_object()).await?;
        let label = async || -> Value { lab.get("namespace", "shop")["metadata"]["labels"]["istio.io/use-waypoint"].clone() };
        lab.until("the namespace is bound", async || label().await == "entry").await?;
        lab.says("namespace", "shop", "istio.io/WaypointBound", "WaypointAccepted").await?;
        lab.apply("
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {ports: [{port: 80}]}
")?;
        lab.says("service", "store", "istio.io/WaypointBound", "WaypointAccepted").await?;
        lab.run(&["label", "namespace", "shop", "ambit.dev/waypoint-"])?;
        lab.until("the namespace is unbound", async || label().await.is_null()).await?;
        lab.until("the Gateway is gone", async || lab.get("gateway", "entry").is_null()).await?;
        lab.until("its Deployment is gone", async || lab.get("deployment", "entry").is_null()).await?;
        lab.until("nothing is said of waypoints", async || lab.condition("service", "store", "istio.io/WaypointBound").is_null()).await?;

        // A label of the user's own is not taken over.
        lab.run(&["label", "namespace", "shop", "istio.io/use-waypoint=mine", "ambit.dev/waypoint=entry"])?;
        lab.says("namespace", "shop", "istio.io/WaypointBound", "ConflictingLabels").await?;
        assert_eq!(label().await, "mine");
        lab.run(&["label", "namespace", "shop", "istio.io/use-waypoint-", "ambit.dev/waypoint-"])?;

        // A route: its parent is there, its backend is not; another controller's word stays.
        lab.apply("
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: store, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: store, port: 80}]
  rules: [{backendRefs: [{name: nowhere, port: 80}]}]
")?;
        let parents = || lab.get("httproute", "store")["status"]["parents"].clone();
        lab.until("the route is judged", async || {
            condition(&parents()[0]["conditions"], "ResolvedRefs")["reason"] == "BackendNotFound"
        }).await?;
        assert_eq!(parents()[0]["controllerName"], "ambit.dev/waypoint");
        let before = condition(&parents()[0]["conditions"], "Accepted");
        let theirs = r#"[{"op": "add", "path": "/status/parents/0", "value": {"controllerName": "example.test/other", "parentRef": {"name": "x"}, "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}]"#;
        lab.run(&["patch", "httproute", "store", "-n", "shop", "--subresource=status", "--type=json", "-p", theirs])?;
        lab.run(&["patch", "httproute", "store", "-n", "shop", "--type=json", "-p", r#"[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "store"}]"#])?;
        let ours = || parents().as_array().into_iter().flatten().find(|p| p["controllerName"] == "ambit.dev/waypoint").cloned().unwrap_or_default();
        lab.until("the route resolves", async || {
            let resolved = condition(&ours()["conditions"], "ResolvedRefs");
            resolved["status"] == "True" && resolved["observedGeneration"] == 2
        }).await?;
        assert!(parents().as_array().into_iter().flatten().any(|p| p["controllerName"] == "example.test/other"), "{}", parents());
        let accepted = condition(&ours()["conditions"], "Accepted");
        assert_eq!(accepted["lastTransitionTime"], before["lastTransitionTime"]);

        // A policy that layer 4 cannot express in full, and one that cannot be read.
        let policy = |action: &str| format!("
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: p, namespace: shop}}
spec: {{action: {action}, rules: [{{to: [{{operation: {{paths: [/a]}}}}]}}]}}
");
        lab.apply(&policy("DENY"))?;
        let said = lab.says("authorizationpolicy", "p", "ZtunnelAccepted", "UnsupportedValue").await?;
        assert_eq!(said["status"], "True");
        lab.apply(&policy("BLOCK"))?;
        lab.until("it is not accepted", async || lab.condition("authorizationpolicy", "p", "ZtunnelAccepted")["status"] == "False").await?;
        let events = lab.run(&["get", "events.events.k8s.io", "-n", "shop", "-o", "jsonpath={.items[*].note}"])?;
        assert!(events.contains("write ALLOW, DENY, AUDIT or CUSTOM"), "{events}");

        // Hosts get addresses, each its own, and keep them; what contradicts itself changes nothing.
        for definition in OUTSIDE {
            lab.apply(definition)?;
        }
        let entry = |name: &str, spec: &str| format!("
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop, labels: {{istio.io/use-waypoint: nobody}}}}
spec: {{hosts: [{name}.example.com], ports: [{{number: 443, name: tls, protocol: TLS}}], {spec}}}
");
        lab.until("the definition is in force", async || lab.apply(&entry("api", "resolution: DNS")).is_ok()).await?;
        lab.apply(&entry("db", "resolution: DNS"))?;
        let given = |name: &str| lab.get("serviceentry", name)["status"]["addresses"].clone();
        let both = |name: &str| given(name).as_array().is_some_and(|all| all.len() == 2);
        lab.until("addresses are given", async || both("api") && both("db")).await?;
        let (api, db) = (given("api"), given("db"));
        assert!(api[0]["value"].as_str().is_some_and(|ip| ip.starts_with("240.240.")), "{api}");
        assert_eq!(api[0]["host"], "api.example.com");
        assert_ne!(api[0]["value"], db[0]["value"]);
        let bound = lab.says("serviceentry", "api", "istio.io/WaypointBound", "WaypointIsNotReady").await?;
        assert_eq!(bound["observedGeneration"], 1, "{bound}");
        lab.apply(&entry("api", "resolution: STATIC"))?;
        let refused = lab.says("serviceentry", "api", "ambit.dev/Accepted", "UnsupportedValue").await?;
        assert!(refused["message"].as_str().is_some_and(|m| m.contains("there are no endpoints")), "{refused}");
        assert_eq!(given("api"), api);
        lab.apply(&entry("api", "resolution: DNS, addresses: [192.0.2.1]"))?;
        lab.until("its author wrote one", async || given("api").as_array().is_none_or(Vec::is_empty)).await?;
        lab.apply("
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, labels: {istio.io/use-waypoint: nobody}}
spec: {address: 192.0.2.9}
")?;
        lab.says("workloadentry", "vm", "istio.io/WaypointBound", "WaypointIsNotReady").await?;

        // Nothing changes, so nothing is written.
        let versions = || lab.run(&["get", "gateway,httproute,service,authorizationpolicy,serviceentry,workloadentry,namespace", "-A", "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion} {end}"]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = versions()?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(versions()?, before);
        Ok(())
    }
}

/// A server and a client, enrolled, and a policy of layer 7.
const TRAFFIC: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, ambit.dev/waypoint: entry}}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: local.test/base:1
      imagePullPolicy: Never
      command: [sh, -c, 'mkdir /www; echo fine > /www/index.html; cp /www/index.html /www/admin; exec httpd -f -p 8080 -h /www']
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: shop}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: 8080, appProtocol: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  nodeName: node-a
  terminationGracePeriodSeconds: 0
  containers:
    - {name: client, image: 'local.test/base:1', imagePullPolicy: Never, command: [sleep, '99999']}
";

const NO_ADMIN: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: '', name: server}]
  action: DENY
  rules: [{to: [{operation: {paths: [/admin]}}]}]
";

/// Asks again and again for so many seconds; prints how often, and how often in vain.
const LOAD: &str = "n=0; f=0; end=$(( $(busybox date +%s) + 45 ))
while [ $(busybox date +%s) -lt $end ]; do
  curl -sf -o /dev/null --max-time 5 http://server.shop/ || f=$((f + 1))
  n=$((n + 1))
done
echo $n $f";

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 600;
    async fn a_rollout_of_a_waypoint_fails_no_request(_bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new("rollout", 2, &folders::target(), &program);
        let binaries = folders::binaries()?;
        let cluster = Cluster::start(&plan, &binaries, &[], &|what| eprintln!("{what}")).await?;
        let kubectl = cluster.kubectl();
        kubectl.apply(&binaries.gateway_api()?)?;
        cluster.install_ambit(&plan)?;
        cluster.ambit_is_ready().await?;

        eprintln!("a waypoint by the namespace's label");
        kubectl.apply(TRAFFIC)?;
        let get = |kind: &str, name: &str| kubectl.get(&[kind, name, "-n", "shop"]).unwrap_or_default();
        let programmed = async || condition(&get("gateway", "entry")["status"]["conditions"], "Programmed")["status"] == "True";
        let waited = eventually("the waypoint is programmed", STARTED, programmed).await;
        waited.with_context(|| kubectl.run(&["get", "pods,events", "-A"]).unwrap_or_default())?;
        kubectl.apply(NO_ADMIN)?;
        let ask = |path: &str| {
            let url = format!("http://server.shop{path}");
            let code = ["exec", "-n", "shop", "client", "--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "3", &url];
            kubectl.run(&code).unwrap_or_default()
        };
        eventually("the way leads through the waypoint", SOON, async || ask("/") == "200" && ask("/admin") == "403").await?;

        eprintln!("two rollouts under load");
        let mut load = kubectl.command();
        load.args(["exec", "-n", "shop", "client", "--", "sh", "-c", LOAD]).stdout(Stdio::piped());
        let load = load.spawn()?;
        for _ in 0..2 {
            kubectl.run(&["rollout", "restart", "deployment/entry", "-n", "shop"])?;
            kubectl.run(&["rollout", "status", "deployment/entry", "-n", "shop", "--timeout=60s"])?;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let counted = load.wait_with_output()?;
        let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
        let (asked, failed) = counted.trim().split_once(' ').context("two numbers")?;
        eprintln!("{asked} requests, {failed} failed");
        assert!(asked.parse::<u32>()? > 100, "{asked} requests");
        assert_eq!(failed, "0", "of {asked} requests");

        // Nothing was refused for want of a right.
        let used = audit::used(&plan, "ambit-system")?;
        assert!(used.refused.is_empty(), "refused: {:?}", used.refused);
        Ok(())
    }
}
