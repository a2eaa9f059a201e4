//! Whether a pod takes part in the mesh: a pure function of its facts and the node's rules.

use std::collections::BTreeSet;

use crate::pod::Pod;

/// A pod with this annotation has a sidecar of its own, which would meet our redirection.
pub use hbone::label::SIDECAR_STATUS;

/// What the node decides beyond the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusions {
    /// Namespaces that are never enrolled, whatever their labels. Default: `kube-system`.
    pub namespaces: BTreeSet<String>,
}

/// The decision, with the reason why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes part.
    Enrol,
    /// The labels of pod and namespace do not ask for it.
    NotLabelled,
    /// Its programs have ended.
    Terminated,
    /// It has no network namespace of its own.
    HostNetwork,
    /// A sidecar carries its traffic.
    Sidecar,
    /// Its namespace is excluded on this node.
    ExcludedNamespace,
}

impl Default for Exclusions {
    fn default() -> Self {
        Self { namespaces: BTreeSet::from(["kube-system".to_owned()]) }
    }
}

/// Judges one pod (docs/wire.md, "Enrolment").
///
/// A waypoint is never enrolled: it terminates HBONE itself.
pub fn judge(pod: &Pod, exclusions: &Exclusions) -> Verdict {
    if pod.host_network {
        Verdict::HostNetwork
    } else if pod.terminated {
        Verdict::Terminated
    } else if exclusions.namespaces.contains(&pod.namespace) {
        Verdict::ExcludedNamespace
    } else if pod.annotations.contains_key(SIDECAR_STATUS) {
        Verdict::Sidecar
    } else if !pod.labelled || pod.waypoint.is_some() {
        Verdict::NotLabelled
    } else {
        Verdict::Enrol
    }
}

#[cfg(test)]
mod tests;
