//! Kubernetes, containerd, etcd, CoreDNS and Helm, built from their Go modules.
//!
//! Each folder of `programs` is a Go module whose `tool` lines name programs and whose sums pin
//! every source. What was built is kept under a name that follows from those files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Version of Kubernetes, told to its programs; must be that of `programs/kubernetes/go.mod`.
const KUBERNETES: &str = "1.36.3";

/// Oldest Go that builds them.
const GO: (u32, u32) = (1, 26);

/// The module folders.
const MODULES: [&str; 5] = ["kubernetes", "containerd", "etcd", "coredns", "helm"];

/// Kinds of the Gateway API that tests use, as their files are named.
const GATEWAY_API: [&str; 5] =
    ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"];

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Builds what is missing, below `target/cluster/programs`.
    ///
    /// # Errors
    /// If Go is missing or too old, or a module cannot be had or built.
    pub fn build(source: &Path, target: &Path, say: &dyn Fn(&str)) -> anyhow::Result<Self> {
        let folder = target.join("cluster").join("programs");
        for module in MODULES {
            built(source, &folder, module, say)?;
        }
        definitions(&source.join("programs/definitions"), &folder.join("definitions"))
            .context("the definitions of the Gateway API")?;
        Ok(Self(folder.join("bin")))
    }

    /// The definitions of the Gateway API's kinds, standard channel.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn gateway_api(&self) -> anyhow::Result<String> {
        let folder = self.0.with_file_name("definitions");
        let mut text = String::new();
        for kind in GATEWAY_API {
            let file = folder.join(format!("gateway.networking.k8s.io_{kind}.yaml"));
            text += &std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            text += "\n---\n";
        }
        Ok(text)
    }

    /// Builds the Gateway API's conformance suite, and the program that its pods run: a folder
    /// with `server` and `client`.
    ///
    /// # Errors
    /// As [`Binaries::build`].
    pub fn suite(&self, source: &Path, say: &dyn Fn(&str)) -> anyhow::Result<(PathBuf, PathBuf)> {
        let folder = self.0.parent().context("a folder of programs")?;
        for module in ["conformance", "echo"] {
            built(source, folder, module, say)?;
        }
        Ok((self.path("conformance"), folder.join("echo")))
    }

    /// The program of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Copies the definitions out of their module, once for each version.
fn definitions(source: &Path, folder: &Path) -> anyhow::Result<()> {
    let (stamp, wanted) = (folder.with_extension("stamp"), stamp_of(source)?);
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    check_go()?;
    let go = |args: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("go").current_dir(source).args(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "go {}: {said}", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let module = "sigs.k8s.io/gateway-api";
    go(&["mod", "download", module])?;
    let from = go(&["list", "-m", "-f", "{{.Dir}}", module])?;
    std::fs::create_dir_all(folder)?;
    for file in std::fs::read_dir(Path::new(&from).join("config/crd/standard"))? {
        let file = file?;
        // Read and written: files of a module cannot be written to, copies neither.
        std::fs::write(folder.join(file.file_name()), std::fs::read(file.path())?)?;
    }
    std::fs::write(&stamp, wanted)?;
    Ok(())
}

/// Builds a module of `programs` once for each version of it.
fn built(source: &Path, folder: &Path, module: &str, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let stamp = folder.join(format!("{module}.stamp"));
    let source = source.join("programs").join(module);
    let wanted = stamp_of(&source)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    check_go()?;
    say(&format!("building {module}; this takes minutes once"));
    build(&source, folder, module).with_context(|| format!("building {module}"))?;
    std::fs::write(&stamp, wanted)?;
    Ok(())
}

fn build(source: &Path, folder: &Path, module: &str) -> anyhow::Result<()> {
    // Its programs are named so that they would be taken for others.
    let bin = if module == "echo" { folder.join("echo") } else { folder.join("bin") };
    std::fs::create_dir_all(&bin)?;
    let mut go = Command::new("go");
    go.current_dir(source).env("GOBIN", &bin).env("CGO_ENABLED", "0");
    if module == "conformance" {
        go.args(["test", "-c", "-trimpath", "-o"]).arg(bin.join(module)).arg(".");
    } else {
        go.args(["install", "-trimpath", "-ldflags", &flags(), "tool"]);
    }
    let status = go.status().context("go could not be started")?;
    ensure!(status.success(), "{go:?} ended with {status}");
    // The main package of etcd's module is named after its folder.
    if module == "etcd" {
        std::fs::rename(bin.join("server"), bin.join("etcd")).context("naming etcd")?;
    }
    Ok(())
}

/// Everything that decides what is built.
fn stamp_of(source: &Path) -> anyhow::Result<String> {
    let mut text = flags();
    for file in ["go.mod", "go.sum"] {
        let path = source.join(file);
        text += &std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    }
    Ok(text)
}

fn flags() -> String {
    let version = "k8s.io/component-base/version";
    let (major, minor) = (KUBERNETES.split('.').next(), KUBERNETES.split('.').nth(1));
    format!(
        "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={} -X {version}.gitMinor={}",
        major.unwrap_or_default(),
        minor.unwrap_or_default()
    )
}

fn check_go() -> anyhow::Result<()> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output();
    let output = output.context("Go is missing; ./dev setup installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let parts = text.trim_start_matches("go").split('.');
    let numbers: Vec<u32> = parts.map_while(|part| part.parse().ok()).collect();
    let found = (numbers.first().copied(), numbers.get(1).copied());
    let new_enough = matches!(found, (Some(major), Some(minor)) if (major, minor) >= GO);
    ensure!(new_enough, "Go {}.{} or newer is needed, and {text} is there", GO.0, GO.1);
    Ok(())
}
