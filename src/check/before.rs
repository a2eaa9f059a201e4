//! A cluster before an installation.

use super::finding::{Finding, Severity};
use crate::failure::Failure;
use crate::install;
use crate::mesh::Where;
use crate::mesh::choose::Given;

/// Whether a cluster can take Ambit; and how it is called.
pub(super) async fn look(place: &Where) -> Result<(String, Vec<Finding>), Failure> {
    let Given { kubeconfig, context } = place.cluster();
    let (name, found) = install::preflight(kubeconfig, context).await?;
    let mut findings = Vec::new();
    for obstacle in found.obstacles {
        let (problem, fix) = halves(&obstacle);
        findings.push(Finding::new(Severity::Error, "cannot-install", "cluster", problem, fix));
    }
    for warning in found.warnings {
        let (id, fix) = if warning.contains("Gateway API") {
            (
                "gateway-api-missing",
                "install the Gateway API's definitions before the first waypoint",
            )
        } else {
            ("before-install", "see docs/operations.md, \"On Kubernetes\"")
        };
        findings.push(Finding::new(Severity::Warning, id, "cluster", warning, fix));
    }
    if found.installed {
        let fix = "run ambit check without --before, or ambit upgrade";
        let problem = "Ambit is in this cluster already";
        findings.push(Finding::new(Severity::Info, "already-installed", "cluster", problem, fix));
    }
    Ok((format!("cluster {name}"), findings))
}

/// What is wrong, and what would be right, as one sentence has them.
fn halves(sentence: &str) -> (&str, &str) {
    sentence.split_once("; ").unwrap_or((sentence, "see docs/operations.md, \"On Kubernetes\""))
}
