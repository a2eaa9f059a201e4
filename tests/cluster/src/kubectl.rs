//! Kubeconfig files, and the cluster's own kubectl.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::certificates::Pair;

/// Writes a kubeconfig for the holder of `pair`.
///
/// # Errors
/// If the file cannot be written.
pub fn write_config(path: &Path, server: &str, root: &Path, pair: &Pair) -> anyhow::Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "ambit", "cluster": {
            "server": server, "certificate-authority": root,
        }}],
        "users": [{"name": "holder", "user": {
            "client-certificate": pair.certificate, "client-key": pair.key,
        }}],
        "contexts": [{"name": "ambit", "context": {"cluster": "ambit", "user": "holder"}}],
        "current-context": "ambit",
    });
    // JSON is YAML.
    std::fs::write(path, serde_json::to_vec_pretty(&config)?)
        .with_context(|| path.display().to_string())
}

/// kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    config: PathBuf,
}

impl Kubectl {
    /// `program` as the holder of `config`.
    pub fn new(program: PathBuf, config: PathBuf) -> Self {
        Self { program, config }
    }

    /// A command to add arguments to.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.config);
        command
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// If it fails, with its words.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        self.feed(args, "")
    }

    /// Applies manifests, as the field manager of kubectl.
    ///
    /// # Errors
    /// If it fails, with its words.
    pub fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        self.feed(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifests).map(drop)
    }

    /// An object or a list, as JSON.
    ///
    /// # Errors
    /// If it fails, with its words.
    pub fn get(&self, args: &[&str]) -> anyhow::Result<Value> {
        let all: Vec<&str> =
            ["get"].into_iter().chain(args.iter().copied()).chain(["-o", "json"]).collect();
        Ok(serde_json::from_str(&self.run(&all)?)?)
    }

    fn feed(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl could not be started")?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may refuse early; its words follow below.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", args.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
