//! One supervisor for a run directory: two would take over each other's programs.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Name of the file in the run directory.
const FILE: &str = "lock";

/// The lock; it is free again when this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Why the run directory cannot be ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{0:?} is another ambit node's; give this one another AMBIT_RUN_DIR, or end that one")]
    Taken(PathBuf),
    /// The directory or the file cannot be made.
    #[error("cannot lock {path:?}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the directory, which is made if it is absent, mode 0700.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(run_dir: &Path) -> Result<Self, LockError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = run_dir.join(FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run_dir);
        made.map_err(failed)?;
        let mut options = OpenOptions::new();
        // Children do not inherit it: what is left behind by a killed supervisor holds no lock.
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Taken(run_dir.into())),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests;
