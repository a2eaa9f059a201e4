//! An API server, control beside it with the rights that its manifests grant, and readers of its
//! dashboards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster::control_plane::ControlPlane;
use cluster::kubectl::Kubectl;
use cluster::plan::Plan;
use cluster::{control_plane, folders};
use serde_json::{Value, json};
use testbed::{Testbed, eventually};

pub(crate) const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// More than a change takes; less than anybody waits.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// What the API server said counts for so long: our memory, its own of 10 s, and a margin.
pub(crate) const FORGOTTEN: Duration = Duration::from_mins(1);
pub(crate) const NAMESPACE: &str = "ambit-system";
/// Where the dashboards are, by the name in their certificate.
pub(crate) const ORIGIN: &str = "https://localhost:15018";

/// Who may read and who may not.
const READERS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: ops}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: viewer, namespace: ops}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other, namespace: ops}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ambit-dashboard-viewer}
subjects: [{kind: ServiceAccount, name: viewer, namespace: ops}]
";

/// `ambit control`; ends with the value.
struct Control(Child);

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All of it.
pub(crate) struct Lab {
    pub(crate) server: ControlPlane,
    control: Control,
    log: PathBuf,
    root: PathBuf,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Heard {
    /// The value of a header field, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }
}

impl Lab {
    /// Starts both; control has the account and the rights of `manifests/overlays/dashboard`.
    pub(crate) async fn start(bed: &Testbed, name: &str) -> anyhow::Result<Self> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new(name, 0, &folders::target(), &program);
        let (server, authority) = control_plane(&plan, &folders::binaries()?, &[]).await?;
        let pair = authority.issue(
            "dashboard",
            "dashboard",
            &[],
            &["localhost"],
            &[[127, 0, 0, 1].into()],
        )?;
        let kubectl = server.kubectl();
        for folder in ["definitions", "overlays/dashboard"] {
            let folder = cluster::ambit::manifests(folder).display().to_string();
            kubectl.run(&["apply", "--server-side", "-k", &folder])?;
        }
        kubectl.apply(READERS)?;
        let root = plan.certificates().join("ca.crt");
        let kubeconfig = kubeconfig(bed, &plan, kubectl, &root)?;
        let log = bed.directory("control")?.join("log");
        let file = std::fs::File::create(&log)?;
        let child = Command::new(AMBIT)
            .args(["control", "--kubernetes", "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--state")
            .arg(bed.directory("state")?)
            .args(["--system-namespace", NAMESPACE, "--dashboard-listen", "[::]:15018"])
            .arg("--dashboard-certificate")
            .arg(pair.certificate)
            .arg("--dashboard-key")
            .arg(pair.key)
            .args(["--dashboard-tokens", "--dashboard-service", "ambit-dashboard"])
            .env("POD_IPS", "10.201.0.1")
            .env("RUST_LOG", "info")
            .stdout(file.try_clone()?)
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()?;
        let lab = Self { server, control: Control(child), log, root };
        let mut said = String::new();
        let waited = eventually("control leads and serves the dashboards", SOON, async || {
            said = lab.log();
            said.contains("the dashboards' Service leads here")
        });
        waited.await.with_context(|| said.clone())?;
        Ok(lab)
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        self.server.kubectl()
    }

    /// What control has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether control runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.control.0.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// A token of an account of `ops`, for the dashboards or as `more` says.
    pub(crate) fn token(&self, account: &str, more: &[&str]) -> anyhow::Result<String> {
        let more = if more.is_empty() { &["--audience", "ambit-dashboard"] } else { more };
        let args = [&["create", "token", account, "-n", "ops"], more].concat();
        Ok(self.kubectl().run(&args)?.trim().to_owned())
    }

    /// curl, with `args`, at a path.
    pub(crate) fn curl(&self, args: &[&str], path: &str) -> anyhow::Result<Heard> {
        let output = Command::new("curl")
            .args([
                "-sS",
                "-i",
                "-4",
                "--http1.1",
                "--max-time",
                "20",
                "--noproxy",
                "*",
                "--cacert",
            ])
            .arg(&self.root)
            .args(args)
            .arg(format!("{ORIGIN}{path}"))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{path}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        let (head, text) = text.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Heard { status, head: head.to_owned(), text: text.to_owned() })
    }

    /// The API by a token.
    pub(crate) fn with_token(&self, token: &str, path: &str) -> anyhow::Result<Heard> {
        self.curl(&["-H", &format!("Authorization: Bearer {token}")], path)
    }

    /// The API by a cookie.
    pub(crate) fn with_cookie(&self, cookie: &str, path: &str) -> anyhow::Result<Heard> {
        self.curl(&["-H", &format!("Cookie: {cookie}")], path)
    }

    /// Signs in as a page of `origin` would have it, or as nobody's page.
    pub(crate) fn sign_in(&self, token: &str, origin: &str) -> anyhow::Result<Heard> {
        let body = json!({ "token": token }).to_string();
        let origin = format!("Origin: {origin}");
        let mut args = vec!["-H", "Content-Type: application/json", "-d", &body];
        if origin != "Origin: " {
            args.extend(["-H", &origin]);
        }
        self.curl(&args, "/ui/sign-in")
    }

    /// What control counts at its admin address.
    pub(crate) fn metrics() -> anyhow::Result<String> {
        let output = Command::new("curl")
            .args(["-sSf", "--max-time", "5", "http://127.0.0.1:15016/metrics"])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The name and value of the cookie that an answer sets.
pub(crate) fn cookie(heard: &Heard) -> String {
    heard.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

/// A kubeconfig of control's own account.
fn kubeconfig(
    bed: &Testbed,
    plan: &Plan,
    kubectl: &Kubectl,
    root: &Path,
) -> anyhow::Result<PathBuf> {
    let token = kubectl.run(&["create", "token", "control", "-n", NAMESPACE])?;
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {
            "server": plan.api(), "certificate-authority": root,
        }}],
        "users": [{"name": "control", "user": {"token": token.trim()}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "control"}}],
        "current-context": "c",
    });
    let path = bed.directory("kubeconfig")?.join("control");
    std::fs::write(&path, serde_json::to_vec(&config)?)?;
    Ok(path)
}
