//! The command against a cluster, as a person at a terminal uses it, and the pages from there.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testbed::{Testbed, eventually};

use super::open::Shop;
use super::{AMBIT, SOON, STARTED};
use crate::browser::look;

const TAKE: &str = "http://inventory.shop/take";
const ADMIN: &str = "http://inventory.shop/admin";

/// Nobody may call what administers the inventory.
const NO_ADMIN: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: '', name: inventory}]
  action: DENY
  rules: [{to: [{operation: {paths: [/admin]}}]}]
";

/// One who may look at every object, and forward no port; and one who may nothing.
const USERS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
";

/// A run of the command, and what it said.
struct Said {
    words: String,
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the command with a kubeconfig.
fn run(kubeconfig: &Path, words: &str) -> anyhow::Result<Said> {
    let output = command(kubeconfig, words).output().context("ambit could not be started")?;
    Ok(Said::of(words, &output))
}

fn command(kubeconfig: &Path, words: &str) -> Command {
    let mut command = Command::new(AMBIT);
    command.args(words.split_whitespace()).env("KUBECONFIG", kubeconfig).env("TERM", "dumb");
    command.stdin(Stdio::null());
    command
}

impl Said {
    fn of(words: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            words: words.to_owned(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn ends(self, code: i32) -> anyhow::Result<Self> {
        let Self { words, out, err, .. } = &self;
        ensure!(self.code == Some(code), "ambit {words}: {:?}, not {code}\n{out}{err}", self.code);
        Ok(self)
    }

    /// That a line has all of these words.
    fn has(self, wanted: &[&str]) -> anyhow::Result<Self> {
        let Self { words, out, err, .. } = &self;
        let is = |line: &str| wanted.iter().all(|word| line.contains(word));
        let found = out.lines().chain(err.lines()).any(is);
        ensure!(found, "ambit {words}: no line with {wanted:?}\n{out}{err}");
        Ok(self)
    }

    fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("{}: {}", self.words, self.out))
    }
}

/// Everything, in the order in which somebody new to a cluster would.
pub(super) async fn play(shop: &mut Shop, bed: &Testbed) -> anyhow::Result<()> {
    let config = shop.plan.kubeconfig();
    standing(&config)?;
    membership(&config, shop).await?;
    waypoint(&config, shop).await?;
    proxies(&config)?;
    rights(&config, shop)?;
    past(&config, shop).await?;
    pages(&config, shop, bed).await?;
    alone(shop).await
}

/// Who is there, of which version, and whether anything is wrong.
fn standing(config: &Path) -> anyhow::Result<()> {
    let said = run(config, "version -o json")?.ends(0)?.json()?;
    let of = |kind: &str| {
        let all = said["processes"].as_array().into_iter().flatten();
        all.filter(|one| one["kind"] == kind).count()
    };
    ensure!((of("control"), of("ztunnel")) == (2, 2), "{said:#}");
    ensure!(said["skew"] == false, "{said:#}");
    let said = run(config, "status -o json")?.ends(0)?.json()?;
    let rows = said["pods"].as_array().into_iter().flatten();
    let shop: Vec<_> = rows.filter(|row| row["namespace"] == "shop").collect();
    ensure!(shop.len() == 3, "{said:#}");
    ensure!(shop.iter().all(|row| row["proof"]["is"] == "proven"), "{said:#}");
    run(config, "status -n shop")?.ends(0)?.has(&["customer", "node-a", "enrolled", "yes"])?;
    run(config, "status -n shpo")?.ends(4)?.has(&["did you mean shop?"])?;
    run(config, "check")?.ends(0)?;
    run(config, "check --before")?.ends(0)?.has(&["already-installed"])?;
    run(config, "version --context nowhere")?.ends(5)?.has(&["nowhere", "ambit"])?;
    Ok(())
}

/// The label comes off and on, and the command waits until that is so.
async fn membership(config: &Path, shop: &Shop) -> anyhow::Result<()> {
    run(config, "unenroll shop")?.ends(0)?.has(&["3 pods not in the mesh"])?;
    let plain = run(config, "status -n shop")?.ends(0)?;
    plain.has(&["customer", "not enrolled"])?;
    shop.answers("customer", TAKE, 200).await?;
    run(config, "enroll shop")?.ends(0)?.has(&["3 pods enrolled and proven after"])?;
    run(config, "enroll shop")?.ends(0)?.has(&["(it was so)"])?;
    run(config, "enroll shop/custmer")?.ends(4)?.has(&["shop/customer"])?;
    shop.answers("customer", TAKE, 200).await
}

/// A waypoint comes, is used, and decides.
async fn waypoint(config: &Path, shop: &Shop) -> anyhow::Result<()> {
    let said = run(config, "waypoint apply -n shop --enroll-namespace")?.ends(0)?;
    said.has(&["Gateway shop/waypoint applied"])?.has(&["ready after"])?;
    run(config, "waypoint list -A")?.ends(0)?.has(&["shop", "waypoint", "Namespace shop"])?;
    run(config, "waypoint status shop/waypoint")?.ends(0)?.has(&["Programmed", "yes"])?;
    run(config, "waypoint delete shop/waypoint")?.ends(1)?.has(&["is used by Namespace shop"])?;
    shop.apply(NO_ADMIN)?;
    shop.answers("customer", ADMIN, 403).await?;
    shop.answers("customer", TAKE, 200).await
}

/// What single proxies know.
fn proxies(config: &Path) -> anyhow::Result<()> {
    run(config, "proxy workloads node-a")?.ends(0)?.has(&["shop", "inventory", "HBONE"])?;
    run(config, "proxy services node-b")?.ends(0)?.has(&["shop", "inventory"])?;
    let said = run(config, "proxy certificates node-a")?.ends(0)?;
    said.has(&["spiffe://cluster.local/ns/shop/sa/customer", "leaf"])?;
    run(config, "proxy policies shop/waypoint")?.ends(0)?.has(&["no-admin"])?;
    run(config, "proxy log node-b")?.ends(0)?.has(&["ztunnel on node-b"])?;
    run(config, "proxy diff node-a node-b")?.ends(0)?.has(&["know the same"])?;
    run(config, "proxy diff node-a")?.ends(0)?.has(&["know the same"])?;
    run(config, "proxy workloads node-z")?.ends(4)?.has(&["node-a"])?;
    Ok(())
}

/// Users with less than an administrator's rights get a sentence each.
fn rights(config: &Path, shop: &Shop) -> anyhow::Result<()> {
    shop.apply(USERS)?;
    let of = |user: &str| -> anyhow::Result<_> {
        let token = shop.run(&["create", "token", user, "-n", "default"])?;
        let mut file: Value = serde_json::from_slice(&std::fs::read(config)?)?;
        file["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let path = shop.plan.home.join(format!("{user}.kubeconfig"));
        std::fs::write(&path, serde_json::to_vec(&file)?)?;
        Ok(path)
    };
    let (reader, nobody) = (of("reader")?, of("nobody")?);
    let said = run(&reader, "status -n shop")?.ends(5)?;
    said.has(&["create on pods/portforward"])?.has(&["customer", "enrolled"])?;
    run(&reader, "edges")?.ends(1)?.has(&["create on pods/portforward"])?;
    run(&reader, "unenroll shop")?.ends(1)?.has(&["may not patch namespaces"])?;
    run(&nobody, "status")?.ends(1)?.has(&["may not list"])?;
    Ok(())
}

/// What was carried, decided and changed; asked of the one replica that knows.
async fn past(config: &Path, shop: &Shop) -> anyhow::Result<()> {
    let mut last = String::new();
    let seen = async || {
        let said = run(config, "edges -n shop -o json");
        let edges = said.and_then(|said| said.ends(0)?.json()).unwrap_or_default();
        last = edges.to_string();
        edges["edges"].as_array().into_iter().flatten().any(|edge| {
            edge["from"] == "shop/customer"
                && edge["security"] == "mtls"
                && edge["service"].as_str().is_some_and(|name| name.contains("inventory"))
        })
    };
    eventually("the edge is shown", SOON, seen).await.map(drop).with_context(|| last.clone())?;
    let said = run(config, "audit -n shop --policy shop/no-admin")?.ends(0)?;
    said.has(&["refused", "customer", "shop/no-admin"])?;
    run(config, "audit --policies")?.ends(0)?.has(&["shop/no-admin", "DENY", "waypoint"])?;

    let mut tap = command(config, "tap -n shop --failed --count 1 -o json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let told = async || {
        shop.status("customer", ADMIN);
        tap.try_wait().is_ok_and(|ended| ended.is_some())
    };
    let waited = eventually("the refusal is told", SOON, told).await;
    let _ = tap.kill();
    let said = Said::of("tap", &tap.wait_with_output()?);
    waited.map(drop).with_context(|| said.err.clone())?;
    let line = said.ends(0)?.json()?;
    ensure!(line["of"]["key"]["policy"] == "shop/no-admin", "{line:#}");
    Ok(())
}

/// The pages, in a browser that a port-forward leads there.
async fn pages(config: &Path, shop: &Shop, bed: &Testbed) -> anyhow::Result<()> {
    let mut forward = command(config, "dashboard --no-open").stdout(Stdio::piped()).spawn()?;
    let out = forward.stdout.take().context("its output")?;
    let forward = Ended(forward);
    let mut url = String::new();
    BufReader::new(out).read_line(&mut url)?;
    let about = url.trim().replace("/ui/", "/api/v1/about");
    let mut last = String::new();
    // A replica that leads, two ztunnels, two waypoints.
    let all = async || {
        let curl = Command::new("curl").args(["-sSf", "--max-time", "5", &about]).output();
        last =
            curl.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
        let about: Value = serde_json::from_str(&last).unwrap_or_default();
        let origins = about["origins"].as_array().map_or(0, Vec::len);
        about["scope"] == "fleet" && origins == 5
    };
    let waited = eventually("all proxies answer", STARTED, all).await;
    waited.map(drop).with_context(|| last.clone())?;
    let traffic = shop.traffic(TAKE, 5, None)?;
    let kubeconfig = config.display();
    let refuse = format!(
        "{} --kubeconfig {kubeconfig} exec -n shop customer -- curl -s --max-time 3 {ADMIN}",
        shop.cluster.kubectl().command().get_program().to_string_lossy(),
    );
    look(
        bed,
        url.trim(),
        &[
            ("AMBIT_NODE", "node-b".to_owned()),
            ("AMBIT_WORKLOAD", "shop/inventory".to_owned()),
            ("AMBIT_REFUSE", refuse),
            ("AMBIT_REFUSED_IDENTITY", "spiffe://cluster.local/ns/shop/sa/customer".to_owned()),
            ("AMBIT_REFUSED_POLICY", "shop/no-admin".to_owned()),
        ],
    )
    .await?;
    traffic.end().await?;
    drop(forward);
    Ok(())
}

/// A node that nobody can reach from outside still tells what was refused on it.
async fn alone(shop: &mut Shop) -> anyhow::Result<()> {
    for name in ["kube-apiserver", "etcd"] {
        shop.cluster.control_plane().kill(name)?;
    }
    let mut said = String::new();
    for node in shop.cluster.nodes() {
        let mut ambit = node.enter()?;
        ambit
            .arg(AMBIT)
            .args(["audit", "-n", "shop"])
            .env("KUBECONFIG", "")
            .env("HOME", "/nonexistent");
        let output = ambit.output()?;
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
    }
    ensure!(said.contains("shop/no-admin"), "{said}");
    Ok(())
}

/// A program that ends with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
