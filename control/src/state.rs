//! The state directory: what must outlive a restart.
//!
//! - [`digest`]: hashes as text
//!
//! Layout: `root-cert.pem`, `root-key.pem`, `token-key.pem`, `join-tokens/`, `reports/`,
//! `last-good/`, `addresses.json`, `key-sets.json`, `status.json`. Files are replaced whole, never
//! written in place.

pub mod digest;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    unique: Arc<AtomicU64>,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("state directory: cannot {what} {path}")]
pub struct StateError {
    /// What was tried.
    pub what: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl StateDir {
    /// Opens the directory; it is made, with mode 0700, if it is missing.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let state = Self { path: path.to_owned(), unique: Arc::default() };
        Self::make(path)?;
        Ok(state)
    }

    /// The path of a file or folder inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder inside; it is made if it is missing.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, StateError> {
        let path = self.path.join(name);
        Self::make(&path)?;
        Ok(path)
    }

    fn make(path: &Path) -> Result<(), StateError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| StateError { what: "make", path: path.to_owned(), source })
    }

    /// Reads a file; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError { what: "read", path, source }),
        }
    }

    /// Replaces a file as a whole, with mode `mode`: a reader sees the old or the new content,
    /// also after a crash, never a part.
    ///
    /// # Errors
    /// See [`StateError`]; the old content then stays.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), StateError> {
        let path = self.path.join(name);
        let temporary = self.temporary(&path);
        let written = write_new(&temporary, bytes, mode)
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync_folder(&path));
        written.map_err(|source| {
            // The write has failed already; what is left of it may stay.
            let _ = fs::remove_file(&temporary);
            StateError { what: "write", path, source }
        })
    }

    /// Writes a file that must not exist yet, whole or not at all.
    ///
    /// # Errors
    /// See [`StateError`]; also if it exists.
    pub fn create(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), StateError> {
        let path = self.path.join(name);
        let temporary = self.temporary(&path);
        // A link fails where the name is taken; a rename would replace.
        let written = write_new(&temporary, bytes, mode)
            .and_then(|()| fs::hard_link(&temporary, &path))
            .and_then(|()| sync_folder(&path));
        let _ = fs::remove_file(&temporary);
        written.map_err(|source| StateError { what: "create", path, source })
    }

    fn temporary(&self, path: &Path) -> PathBuf {
        let n = self.unique.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.{}.{n}", std::process::id()))
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken bits away, or left more than the mode on a strange file system.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
