//! Namespaces of the mesh: their labels say who takes part.

use std::collections::BTreeMap;

use super::{Mesh, MeshError};
use crate::manifests;

/// The label that enrols; its value is `ambient`.
pub const MODE: &str = "istio.io/dataplane-mode";
/// The label that names a waypoint.
pub const USE_WAYPOINT: &str = "istio.io/use-waypoint";

impl Mesh {
    /// Makes sure that a namespace is there; one that is keeps its labels.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn namespace(&self, name: &str) -> Result<(), MeshError> {
        if self.inner.lock().namespaces.contains_key(name) {
            return Ok(());
        }
        self.change_namespace(name, |_| {})
    }

    /// Enrols a namespace by its label. Wait for pods with [`super::MeshPod::is_enrolled`].
    ///
    /// # Errors
    /// `Manifest`.
    pub fn enrol(&self, namespace: &str) -> Result<(), MeshError> {
        self.label_namespace(namespace, MODE, Some("ambient"))
    }

    /// Takes that label away.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn unenrol(&self, namespace: &str) -> Result<(), MeshError> {
        self.label_namespace(namespace, MODE, None)
    }

    /// Sets a label of a namespace, or takes it away.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn label_namespace(
        &self,
        namespace: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), MeshError> {
        self.change_namespace(namespace, |labels| match value {
            Some(value) => drop(labels.insert(key.to_owned(), value.to_owned())),
            None => drop(labels.remove(key)),
        })
    }

    fn change_namespace(
        &self,
        name: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), MeshError> {
        // Written under the lock, so that two changes at once do not undo each other.
        let mut state = self.inner.lock();
        let labels = state.namespaces.entry(name.to_owned()).or_default();
        change(labels);
        let pairs: Vec<(&str, &str)> =
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.apply(&manifests::namespace(name, &pairs))
    }
}
