//! Container images from programs of this machine, without a registry: one layer, written as an
//! OCI image layout (OCI Image Format Specification 1.1) that containerd imports.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest;
use serde_json::{Value, json};

/// What the sandbox of each pod runs.
pub const PAUSE: &str = "local.test/pause:1";
/// A shell, the usual small programs, and curl: a static busybox cannot resolve names.
pub const BASE: &str = "local.test/base:1";
const CURL: &str = "/usr/bin/curl";
/// A static busybox.
const BUSYBOX: &str = "/bin/busybox";

/// An image to be written.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    /// Path inside, and file of this machine.
    programs: Vec<(String, PathBuf)>,
    entrypoint: Vec<String>,
    /// Without what debuggers need.
    thin: bool,
}

impl Image {
    /// An image with busybox that runs `entrypoint`.
    pub fn new(name: &str, entrypoint: &[&str]) -> Self {
        let entrypoint = entrypoint.iter().map(|part| (*part).to_owned()).collect();
        let busybox = ("bin/busybox".to_owned(), BUSYBOX.into());
        Self { name: name.to_owned(), programs: vec![busybox], entrypoint, thin: false }
    }

    /// Leaves out what only debuggers need: programs of a development build are large.
    #[must_use]
    pub fn thin(mut self) -> Self {
        self.thin = true;
        self
    }

    /// Those that every node needs.
    ///
    /// # Errors
    /// If a program is missing.
    pub fn basic() -> anyhow::Result<[Self; 2]> {
        let sleep = ["/bin/busybox", "sleep", "2147483647"];
        let base = Self::new(BASE, &["/bin/busybox", "sh"]).with(Path::new(CURL))?;
        Ok([Self::new(PAUSE, &sleep), base])
    }

    /// Adds a program of this machine, and the libraries that it is linked with.
    ///
    /// # Errors
    /// If its libraries cannot be told.
    pub fn with(mut self, program: &Path) -> anyhow::Result<Self> {
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        self.programs.push((format!("bin/{name}"), program.to_owned()));
        for library in libraries(program)? {
            let inside = library.to_string_lossy().trim_start_matches('/').to_owned();
            self.programs.push((inside, library));
        }
        Ok(self)
    }

    /// Adds a file.
    #[must_use]
    pub fn with_file(mut self, inside: &str, file: &Path) -> Self {
        self.programs.push((inside.trim_start_matches('/').to_owned(), file.to_owned()));
        self
    }

    /// Its name, as pods have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file name for its archive.
    pub fn file_name(&self) -> String {
        format!("{}.tar", self.name.replace(['/', ':'], "-"))
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// If a program is missing or the disk refuses.
    pub fn write(&self, archive: &Path) -> anyhow::Result<()> {
        let stage = archive.with_extension("stage");
        let _ = fs::remove_dir_all(&stage);
        let root = stage.join("root");
        self.fill(&root)?;
        let layout = stage.join("layout");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        let layer_file = stage.join("layer");
        tar(&root, &layer_file)?;
        let layer = add(&layout, &fs::read(&layer_file)?)?;
        let config = add(&layout, &serde_json::to_vec(&self.config(&layer))?)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = add(&layout, &serde_json::to_vec(&manifest)?)?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({"io.containerd.image.name": self.name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
        tar(&layout, archive)?;
        fs::remove_dir_all(&stage)?;
        Ok(())
    }

    fn fill(&self, root: &Path) -> anyhow::Result<()> {
        for folder in ["bin", "etc", "proc", "sys", "dev", "tmp", "var", "run", "usr"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
        for (inside, file) in &self.programs {
            let to = root.join(inside);
            fs::create_dir_all(to.parent().unwrap_or(root))?;
            fs::copy(file, &to).with_context(|| file.display().to_string())?;
            if self.thin {
                // Without binutils the image is only larger.
                let _ = Command::new("strip").arg(&to).stderr(Stdio::null()).status();
            }
        }
        for applet in
            ["sh", "cat", "ls", "sleep", "nc", "nslookup", "ip", "httpd", "mkdir", "kill", "ps"]
        {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        Ok(())
    }

    fn config(&self, layer: &Blob) -> Value {
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        })
    }
}

struct Blob {
    digest: String,
    size: usize,
}

fn add(layout: &Path, bytes: &[u8]) -> anyhow::Result<Blob> {
    let hash = digest::digest(&digest::SHA256, bytes);
    let hex = hash.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    fs::write(layout.join("blobs/sha256").join(&hex), bytes)?;
    Ok(Blob { digest: format!("sha256:{hex}"), size: bytes.len() })
}

fn descriptor(media: &str, blob: &Blob) -> Value {
    json!({"mediaType": media, "digest": blob.digest, "size": blob.size})
}

fn tar(folder: &Path, archive: &Path) -> anyhow::Result<()> {
    let owner = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--sort=name"];
    let status = Command::new("tar")
        .args(owner)
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .status();
    ensure!(status.context("tar could not be started")?.success(), "tar failed");
    Ok(())
}

/// The shared libraries that the loader would take, and the loader.
fn libraries(program: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().filter_map(|line| {
        let path = line.rsplit_once("=> ").map_or(line, |(_, path)| path);
        let path = path.split_whitespace().next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    Ok(found.collect())
}
