//! The directory that a person outside the sandbox can open: manifests, relationships, logs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use testbed::bed::RUN_DIR;

/// Demos at once, and directories that others may have left behind.
const NUMBER_LIMIT: u32 = 1_000;

/// The directory, removed by [`Place::remove`] or at the latest when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes it, and lets the sandbox's manifests and logs be there.
    ///
    /// # Errors
    /// If the directory for temporary files takes none.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let place = Self { path: create(&std::env::temp_dir())? };
        for (name, inside) in [("manifests", "manifests"), ("logs", "logs")] {
            let path = place.path.join(name);
            fs::create_dir(&path).with_context(|| path.display().to_string())?;
            let link = Path::new(RUN_DIR).join(inside);
            symlink(&path, &link).with_context(|| link.display().to_string())?;
        }
        Ok(place)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and all that is in it.
    ///
    /// # Errors
    /// If something stays.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Nobody else may have made it: the name is easy to guess.
fn create(parent: &Path) -> anyhow::Result<PathBuf> {
    for number in 1..=NUMBER_LIMIT {
        let path = parent.join(format!("ambit-demo-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    anyhow::bail!("{} holds {NUMBER_LIMIT} directories ambit-demo-*", parent.display())
}
