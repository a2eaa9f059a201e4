//! Where things are on this machine.

use std::path::{Path, PathBuf};

use crate::binaries::Binaries;

/// The folder of this crate.
pub fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of everything that is built.
pub fn target() -> PathBuf {
    source().ancestors().nth(2).unwrap_or(source()).join("target")
}

/// The programs of Kubernetes, built if they are not yet.
///
/// # Errors
/// As [`Binaries::build`].
pub fn binaries() -> anyhow::Result<Binaries> {
    Binaries::build(source(), &target(), &|what| eprintln!("{what}"))
}
