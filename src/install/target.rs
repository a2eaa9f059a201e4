//! The cluster, and how objects come and go there.

use anyhow::Context as _;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use serde_json::Value;

use super::Place;
use super::bundle;
use crate::mesh::cluster::{self, Cluster};

/// The field manager of what is installed.
const MANAGER: &str = "ambit-install";

/// A cluster.
pub(super) struct Target {
    client: Client,
}

impl Target {
    /// The cluster that a kubeconfig names.
    ///
    /// # Errors
    /// If there is no usable way to it, or nobody answers there.
    pub(super) async fn connect(place: &Place) -> anyhow::Result<Self> {
        let (kubeconfig, context) = (place.kubeconfig.as_deref(), place.context.as_deref());
        Ok(Self::of(&cluster::connect(kubeconfig, context).await?))
    }

    /// A cluster that was reached already.
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self { client: cluster.client() }
    }

    /// The client.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where objects of this one's kind are.
    ///
    /// # Errors
    /// If the cluster does not know the kind.
    pub(super) async fn api(&self, object: &Value) -> anyhow::Result<Api<DynamicObject>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let gvk = GroupVersionKind::gvk(group, version, &kind);
        let (resource, capabilities) = discovery::pinned_kind(&self.client, &gvk).await?;
        Ok(match (capabilities.scope, object["metadata"]["namespace"].as_str()) {
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client(), namespace, &resource)
            }
            _ => Api::all_with(self.client(), &resource),
        })
    }

    /// The object as the cluster has it.
    ///
    /// # Errors
    /// If it may not be read.
    pub(super) async fn live(&self, object: &Value) -> anyhow::Result<Option<DynamicObject>> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Ok(self.api(object).await?.get_opt(name).await?)
    }

    /// Applies an object; returns in a word what that did.
    ///
    /// # Errors
    /// What the API server says.
    pub(super) async fn apply(&self, object: &Value) -> anyhow::Result<&'static str> {
        let before = self.live(object).await?;
        let after = self.patch(object, false).await?;
        Ok(match before {
            None => "created  ",
            Some(before) if before.metadata.resource_version == after.metadata.resource_version => {
                "unchanged"
            }
            Some(_) => "changed  ",
        })
    }

    /// What an object would be if it were applied.
    ///
    /// # Errors
    /// What the API server says.
    pub(super) async fn would_be(&self, object: &Value) -> anyhow::Result<DynamicObject> {
        self.patch(object, true).await
    }

    async fn patch(&self, object: &Value, dry_run: bool) -> anyhow::Result<DynamicObject> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry_run;
        Ok(self.api(object).await?.patch(name, &params, &Patch::Apply(object)).await?)
    }

    /// Removes an object; true if it was there.
    ///
    /// # Errors
    /// What the API server says.
    pub(super) async fn delete(&self, object: &Value) -> anyhow::Result<bool> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = self.api(object).await?;
        // An owner goes after what it owns: who waits for it has waited for all.
        match api.delete(name, &DeleteParams::foreground()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error).with_context(|| format!("{} stays", bundle::name(object))),
        }
    }
}
