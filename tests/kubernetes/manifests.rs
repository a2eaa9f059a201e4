//! The ways to install make the same objects: kustomize, the chart, and (in `enrolment`) the
//! command.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, ensure};
use cluster::ambit::{NAMESPACE, manifests};
use cluster::folders;
use control::source::document;
use serde_json::{Value, json};

type Objects = BTreeMap<String, Value>;

fn run(program: &str, args: &[&str]) -> anyhow::Result<Objects> {
    let output = Command::new(folders::binaries()?.path(program)).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", args.join(" "));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut objects = Objects::new();
    for found in document::split(&text) {
        let object = document::parse(found.text).map_err(anyhow::Error::msg)?;
        if object["kind"].is_string() {
            let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
            ensure!(objects.insert(name.clone(), object).is_none(), "{name} twice");
        }
    }
    Ok(objects)
}

fn kustomize(folder: &str) -> anyhow::Result<Objects> {
    run("kubectl", &["kustomize", &manifests(folder).display().to_string()])
}

fn chart(values: &[&str]) -> anyhow::Result<Objects> {
    let folder = manifests("chart").display().to_string();
    let settings = values.iter().flat_map(|value| ["--set", value]);
    let args = ["template", "ambit", &folder, "--namespace", NAMESPACE, "--include-crds"];
    run("helm", &args.into_iter().chain(settings).collect::<Vec<_>>())
}

fn at<'a>(objects: &'a Objects, name: &str, pointer: &str) -> anyhow::Result<&'a Value> {
    let object = objects.get(name).with_context(|| format!("no {name}: {:?}", objects.keys()))?;
    object.pointer(pointer).with_context(|| format!("{name} has no {pointer}"))
}

const CONTROL: &str = r#""Deployment" "ambit-control""#;
const AGENT: &str = r#""DaemonSet" "ambit-node-agent""#;
const ZTUNNEL: &str = r#""DaemonSet" "ambit-ztunnel""#;
const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
#[ignore = "needs the programs of Kubernetes"]
fn the_chart_makes_what_the_kustomization_makes() -> anyhow::Result<()> {
    let mut wanted = kustomize("base")?;
    wanted.extend(kustomize("definitions")?);
    // Helm makes the namespace of a release itself.
    wanted.remove(r#""Namespace" "ambit-system""#).context("a namespace")?;
    let found = chart(&[])?;
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, object) in &wanted {
        assert_eq!(&found[name], object, "{name}");
    }
    Ok(())
}

/// The same with lists of named items in the order of their names: those that a patch adds have
/// no place of their own.
fn in_order(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            *items = std::mem::take(items).into_iter().map(in_order).collect();
            if items.iter().all(|item| item["name"].is_string()) {
                items.sort_by_key(|item| item["name"].to_string());
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                *field = in_order(field.take());
            }
        }
        _ => {}
    }
    value
}

#[test]
#[ignore = "needs the programs of Kubernetes"]
fn the_dashboards_are_opened_alike_and_only_where_somebody_asks() -> anyhow::Result<()> {
    let base = kustomize("base")?;
    let overlay = kustomize("overlays/dashboard")?;
    let mut wanted = overlay.clone();
    wanted.extend(kustomize("definitions")?);
    wanted.remove(r#""Namespace" "ambit-system""#).context("a namespace")?;
    let found = chart(&["dashboard.enabled=true"])?;
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, object) in wanted {
        assert_eq!(in_order(found[&name].clone()), in_order(object), "{name}");
    }
    for (name, object) in &base {
        assert!(name == CONTROL || overlay.get(name) == Some(object), "{name} is changed");
    }
    // What reviews need is granted here and nowhere else.
    let asks = |objects: &Objects| {
        let asks = objects.iter().filter(|(_, o)| o.to_string().contains("subjectaccessreviews"));
        asks.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(asks(&base), Vec::<String>::new());
    assert_eq!(asks(&overlay), [r#""ClusterRole" "ambit-control-dashboard""#]);
    let viewer = at(&overlay, r#""ClusterRole" "ambit-dashboard-viewer""#, "/rules")?;
    let only = json!([{"nonResourceURLs": ["/ambit.dev/api/v1/*"], "verbs": ["get"]}]);
    assert_eq!(viewer, &only);

    let values = ["dashboard.enabled=true", "dashboard.secret=mine"];
    let more = ["dashboard.clientCertificates=true", "control.env.DASHBOARD_AUDIENCES=a"];
    let other = chart(&[&values[..], &more[..]].concat())?;
    let control = at(&other, CONTROL, "/spec/template/spec")?.to_string();
    for part in [
        r#""secretName":"mine""#,
        r#"{"name":"DASHBOARD_CLIENT_CA","value":"/etc/ambit/dashboard/ca.crt"}"#,
        r#"{"name":"DASHBOARD_AUDIENCES","value":"a"}"#,
    ] {
        assert!(control.contains(part), "{part}: {control}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the programs of Kubernetes"]
fn values_of_the_chart_change_what_they_say_and_nothing_else() -> anyhow::Result<()> {
    let found = chart(&[
        "images.registry=mirror.example/ambit/",
        "images.tag=1.2.3",
        "images.pullSecrets={mirror}",
        "control.replicas=3",
        "control.env.NODE_GRACE=1m",
        "control.env.PROMETHEUS_URL=http://prometheus.monitoring:9090",
        "ztunnel.env.RUST_LOG=debug",
        "ztunnel.env.CONNECTION_TERMINATION_DEADLINE=5s",
        "ztunnel.resources.requests.cpu=1",
        "nodeAgent.podLabels.team=mesh",
        "nodeAgent.priorityClassName=mine",
        "cni.binDir=/elsewhere/bin",
        "istioWaypointClass=true",
    ])?;
    for (name, pointer, wanted) in [
        (CONTROL, "/spec/replicas", json!(3)),
        (ZTUNNEL, "/spec/template/spec/imagePullSecrets", json!([{"name": "mirror"}])),
        (AGENT, "/spec/template/metadata/labels/team", json!("mesh")),
        (AGENT, "/spec/template/spec/priorityClassName", json!("mine")),
    ] {
        assert_eq!(at(&found, name, pointer)?, &wanted, "{name} {pointer}");
    }
    let image = |name| at(&found, name, &format!("{CONTAINER}/image"));
    assert_eq!(image(AGENT)?, "mirror.example/ambit/node-agent:1.2.3");
    let resources = at(&found, ZTUNNEL, &format!("{CONTAINER}/resources"))?;
    assert_eq!(resources, &json!({"requests": {"cpu": 1}}), "in the place of the base's");
    let env = |name: &str, variable: &str| -> anyhow::Result<Vec<Value>> {
        let all = at(&found, name, &format!("{CONTAINER}/env"))?.as_array().context("a list")?;
        let named = all.iter().filter(|found| found["name"] == variable);
        Ok(named.map(|found| found["value"].clone()).collect())
    };
    for (name, variable, wanted) in [
        (CONTROL, "WAYPOINT_IMAGE", "mirror.example/ambit/waypoint:1.2.3"),
        (CONTROL, "NODE_GRACE", "1m"),
        (CONTROL, "PROMETHEUS_URL", "http://prometheus.monitoring:9090"),
        (CONTROL, "ISTIO_WAYPOINT_CLASS", "true"),
        (ZTUNNEL, "RUST_LOG", "debug"),
        (ZTUNNEL, "CONNECTION_TERMINATION_DEADLINE", "5s"),
    ] {
        assert_eq!(env(name, variable)?, [wanted], "{variable}");
    }
    let volumes = at(&found, AGENT, "/spec/template/spec/volumes")?.to_string();
    assert!(volumes.contains("/elsewhere/bin") && volumes.contains("/etc/cni/net.d"), "{volumes}");
    Ok(())
}

#[test]
#[ignore = "needs the programs of Kubernetes"]
fn each_overlay_changes_what_its_name_says() -> anyhow::Result<()> {
    let base = kustomize("base")?;
    let quota = r#""ResourceQuota" "ambit""#;
    let class = r#"{"name":"ISTIO_WAYPOINT_CLASS","value":"true"}"#;
    for (overlay, changed) in [
        ("gke", vec![(AGENT, "/home/kubernetes/bin"), (quota, "system-node-critical")]),
        ("k3s", vec![(AGENT, "/var/lib/rancher/k3s/agent/etc/cni/net.d")]),
        ("openshift", vec![(AGENT, "/etc/cni/multus/net.d")]),
        ("istio-waypoint", vec![(CONTROL, class)]),
        ("single", vec![(CONTROL, r#""replicas":1"#)]),
    ] {
        let found = kustomize(&format!("overlays/{overlay}"))?;
        for (name, wanted) in &changed {
            let object = found.get(*name).with_context(|| format!("{overlay}: no {name}"))?;
            assert!(object.to_string().contains(wanted), "{overlay}: {object}");
        }
        for (name, object) in &base {
            let may = changed.iter().any(|(changed, _)| changed == name)
                || (overlay == "single" && name.contains("PodDisruptionBudget"));
            assert!(may || found.get(name) == Some(object), "{overlay} changes {name}");
        }
    }
    let single = kustomize("overlays/single")?;
    assert!(!single.keys().any(|name| name.contains("PodDisruptionBudget")));
    Ok(())
}
