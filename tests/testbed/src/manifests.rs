//! A directory of Kubernetes YAML, one object in each file, changed atomically.

mod objects;
mod yaml;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use objects::*;
pub use yaml::yaml;

/// Why a manifest could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file could not be written or removed.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An object without kind or name.
    #[error("a manifest has no {0}; every object needs kind and metadata.name")]
    Nameless(&'static str),
}

/// The directory. A clone is the same directory.
#[derive(Debug, Clone)]
pub struct Manifests {
    path: PathBuf,
}

impl Manifests {
    /// Uses `path`, and makes it if it is missing.
    ///
    /// # Errors
    /// `File` if it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ManifestError> {
        let path = path.into();
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(ManifestError::File { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an object, or replaces the one of the same kind, namespace and name.
    ///
    /// # Errors
    /// `Nameless`, or `File`.
    pub fn apply(&self, object: &Value) -> Result<(), ManifestError> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let kind = text("/kind").ok_or(ManifestError::Nameless("kind"))?;
        let name = text("/metadata/name").ok_or(ManifestError::Nameless("metadata.name"))?;
        let namespace = text("/metadata/namespace").unwrap_or_default();
        self.write(&file_name(kind, namespace, name), &yaml(object))
    }

    /// Adds several objects.
    ///
    /// # Errors
    /// At the first that fails.
    pub fn apply_all<'a>(
        &self,
        objects: impl IntoIterator<Item = &'a Value>,
    ) -> Result<(), ManifestError> {
        objects.into_iter().try_for_each(|object| self.apply(object))
    }

    /// Takes an object away; one that is not there is no error. `namespace` is empty for
    /// objects without one.
    ///
    /// # Errors
    /// `File` if it cannot be removed.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<(), ManifestError> {
        let path = self.path.join(file_name(kind, namespace, name));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ManifestError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Writes any text as the file `name`, by rename: for documents that are wrong on purpose.
    ///
    /// # Errors
    /// `File` if it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), ManifestError> {
        // A name without .yaml, so that no reader of the directory takes the unfinished file.
        let new = self.path.join(format!(".{name}.new"));
        let path = self.path.join(name);
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| ManifestError::File { path, source })
    }
}

/// `kind.namespace.name.yaml`, in lower case.
fn file_name(kind: &str, namespace: &str, name: &str) -> String {
    let parts = [&kind.to_lowercase(), namespace, name];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.yaml", parts.join("."))
}

#[cfg(test)]
mod tests;
