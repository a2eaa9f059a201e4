//! The way back.

use std::time::{Duration, Instant};

use anyhow::bail;
use hbone::label;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ListParams};
use serde_json::Value;

use super::bundle::{self, Bundle};
use super::target::Target;

/// How long the programs of a kind may take to go.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is enrolled still, as people name it.
///
/// # Errors
/// If it cannot be looked at.
pub(super) async fn enrolled(target: &Target) -> anyhow::Result<Vec<String>> {
    let chosen = ListParams::default().labels(&format!("{}=ambient", label::DATAPLANE_MODE));
    let namespaces: Api<Namespace> = Api::all(target.client());
    let pods: Api<Pod> = Api::all(target.client());
    let mut found = Vec::new();
    for namespace in namespaces.list(&chosen).await? {
        found.push(format!("namespace {}", namespace.metadata.name.unwrap_or_default()));
    }
    for pod in pods.list(&chosen).await? {
        let (meta, empty) = (pod.metadata, String::new());
        let namespace = meta.namespace.as_ref().unwrap_or(&empty);
        found.push(format!("pod {namespace}/{}", meta.name.unwrap_or_default()));
    }
    Ok(found)
}

/// Removes everything, the programs first, and their rights when they are gone: an agent that
/// goes takes the CNI plugin from its node, and asks the API server for that; control gives up
/// its Lease.
///
/// # Errors
/// What stays, and why.
pub(super) async fn remove(target: &Target, bundle: &Bundle) -> anyhow::Result<()> {
    let (programs, others): (Vec<&Value>, Vec<&Value>) =
        bundle.objects().iter().rev().partition(|object| object["kind"] == "DaemonSet");
    for object in programs.iter().chain(&others) {
        if target.delete(object).await? {
            println!("removed   {}", bundle::name(object));
        }
        if object["kind"] == "DaemonSet" || object["kind"] == "Deployment" {
            gone(target, object).await?;
        }
    }
    Ok(())
}

async fn gone(target: &Target, object: &Value) -> anyhow::Result<()> {
    let began = Instant::now();
    while target.live(object).await?.is_some() {
        if began.elapsed() > PATIENCE {
            bail!("{} does not go; look at its pods", bundle::name(object));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
