//! Ambit in the cluster: its images from the programs of this build, and its manifests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testbed::eventually;

use crate::cluster::Cluster;
use crate::image::Image;
use crate::plan::Plan;

/// The namespace of the manifests.
pub const NAMESPACE: &str = "ambit-system";

/// How long everything may take until it is ready.
const READY: Duration = Duration::from_mins(2);

/// What writes rules in network namespaces.
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// The images that the manifests name, from the programs beside `program`.
///
/// # Errors
/// If a program is missing.
pub fn images(program: &Path) -> anyhow::Result<Vec<Image>> {
    let built = |name: &str| program.with_file_name(name);
    let nft = NFT.iter().map(Path::new).find(|path| path.exists()).context("nft is missing")?;
    let image = |name: &str, entrypoint: &str, programs: &[PathBuf]| {
        let image = Image::new(&format!("docker.io/ambit/{name}:0.1.0"), &[entrypoint]).thin();
        programs.iter().try_fold(image, |image, program| image.with(program))
    };
    Ok(vec![
        image("control", "/bin/control", &[built("control")])?,
        image("ztunnel", "/bin/ztunnel", &[built("ztunnel")])?,
        image("waypoint", "/bin/waypoint", &[built("waypoint")])?,
        image(
            "node-agent",
            "/bin/ambit-node-agent",
            &[built("ambit-node-agent"), built("ambit-cni"), nft.to_owned()],
        )?,
    ])
}

/// A folder of `manifests`.
pub fn manifests(name: &str) -> PathBuf {
    let root = crate::folders::source().ancestors().nth(2).unwrap_or(Path::new("."));
    root.join("manifests").join(name)
}

/// Runs the command `ambit` with the administrator's kubeconfig, and returns what it printed.
///
/// # Errors
/// If it fails, with its words.
pub fn ambit(plan: &Plan, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(plan.program.with_file_name("ambit"))
        .args(args)
        .env("KUBECONFIG", plan.kubeconfig())
        .output()
        .context("ambit could not be started")?;
    let (said, printed) = (output.stderr, String::from_utf8_lossy(&output.stdout).into_owned());
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success(), "ambit {}: {said}{printed}", args.join(" "));
    Ok(printed)
}

impl Cluster {
    /// Brings the images of Ambit and installs it, as a person would.
    ///
    /// # Errors
    /// If it is not ready in time, with what is missing.
    pub fn install_ambit(&self, plan: &Plan) -> anyhow::Result<()> {
        self.import_ambit(plan)?;
        ambit(plan, &["install"]).map(drop)
    }

    /// The same with the chart.
    ///
    /// # Errors
    /// If it is not ready in time, with Helm's words.
    pub fn install_ambit_with_helm(&self, plan: &Plan, helm: &Path) -> anyhow::Result<()> {
        self.import_ambit(plan)?;
        let output = Command::new(helm)
            .args(["install", "ambit"])
            .arg(manifests("chart"))
            .args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "2m"])
            .env("KUBECONFIG", plan.kubeconfig())
            .output()
            .context("helm could not be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm install: {said}");
        Ok(())
    }

    fn import_ambit(&self, plan: &Plan) -> anyhow::Result<()> {
        for image in images(&plan.program)? {
            for node in self.nodes() {
                node.import(&image)?;
            }
        }
        Ok(())
    }

    /// Waits until control, and ztunnel and agent on each node, are ready.
    ///
    /// # Errors
    /// If they are not in time, with what is missing.
    pub async fn ambit_is_ready(&self) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        let ready = async || {
            missing = self.ambit_lacks().unwrap_or_else(|error| vec![error.to_string()]);
            missing.is_empty()
        };
        let waited = eventually("Ambit is ready", READY, ready).await;
        waited.map(drop).with_context(|| missing.join("; "))
    }

    fn ambit_lacks(&self) -> anyhow::Result<Vec<String>> {
        let nodes = self.nodes().len() as u64;
        let mut missing = Vec::new();
        for (kind, name, ready, wanted) in [
            ("deployment", "ambit-control", "readyReplicas", None),
            ("daemonset", "ambit-node-agent", "numberReady", Some(nodes)),
            ("daemonset", "ambit-ztunnel", "numberReady", Some(nodes)),
        ] {
            let object = self.kubectl().get(&[kind, name, "-n", NAMESPACE])?;
            let wanted = wanted.or(object["spec"]["replicas"].as_u64()).unwrap_or(1);
            let found = object["status"][ready].as_u64().unwrap_or_default();
            let current =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            if found != wanted || !current {
                missing.push(format!("{name}: {found} of {wanted} ready"));
            }
        }
        Ok(missing)
    }
}
