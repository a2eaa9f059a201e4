//! Makes what one Gateway asks for, and removes what it asks for no longer.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Client, Error};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::asked::Asked;
use super::children::{Children, owners};
use super::outcome::Outcome;
use super::overlay::{Overlay, OverlayError};
use super::render::{Wanted, contains, render};
use super::{Managed, Settings};
use crate::deploy::plan::CONTROLLER;
use crate::kubernetes::MANAGER;
use crate::kubernetes::observed::{Observed, Seen};
use crate::model::object::{Key, Kind};
use crate::translate::waypoint::MANAGED;

/// Label of a ConfigMap in the system namespace with overlays for a whole class.
pub(super) const CLASS_DEFAULTS: &str = "gateway.istio.io/defaults-for-class";

/// What is needed to make objects.
pub(super) struct Applier<'a> {
    pub(super) client: &'a Client,
    pub(super) observed: &'a Observed,
    pub(super) children: &'a Children,
    pub(super) settings: &'a Settings,
    pub(super) system_namespace: &'a str,
}

impl Applier<'_> {
    /// Makes it so. What goes wrong for good is in the outcome.
    ///
    /// # Errors
    /// What may go better the next time.
    pub(super) async fn settle(&self, gateway: &Seen, serves: bool) -> Result<Outcome, Error> {
        let asked = if serves { Asked::read(&gateway.value) } else { Ok(None) };
        let invalid = |why: String| Outcome { invalid: Some(why), ..Outcome::default() };
        let asked = match asked {
            Ok(Some(asked)) => asked,
            Ok(None) if gateway.is_deleting() => return Ok(Outcome::default()),
            Ok(None) => {
                self.prune(gateway, &[]).await?;
                return Ok(Outcome::default());
            }
            Err(error) => return Ok(invalid(error.to_string())),
        };
        if self.settings.image.is_empty() {
            let why = "control runs without --waypoint-image: set it, so that waypoints can run";
            return Ok(Outcome { blocked: vec![why.to_owned()], ..Outcome::default() });
        }
        let overlays = match self.overlays(&asked).await? {
            Ok(overlays) => overlays,
            Err(error) => return Ok(invalid(error.to_string())),
        };
        let wanted = match render(&asked, self.settings, &overlays) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(invalid(error.to_string())),
        };
        let mut outcome = Outcome::default();
        for one in &wanted {
            self.make(&asked, one, !overlays.is_empty(), &mut outcome).await?;
        }
        if outcome == Outcome::default() {
            self.prune(gateway, &wanted).await?;
        }
        Ok(outcome)
    }

    /// The class's defaults, then the Gateway's own.
    async fn overlays(&self, asked: &Asked) -> Result<Result<Vec<Overlay>, OverlayError>, Error> {
        let mut maps = Vec::new();
        let system: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.system_namespace);
        let of_class = format!("{CLASS_DEFAULTS}={}", asked.class);
        let defaults = system.list(&kube::api::ListParams::default().labels(&of_class)).await?;
        let age = |map: &ConfigMap| map.metadata.creation_timestamp.clone();
        maps.extend(defaults.items.into_iter().min_by_key(age));
        if let Some(name) = &asked.parameters {
            let own: Api<ConfigMap> = Api::namespaced(self.client.clone(), &asked.namespace);
            let Some(map) = own.get_opt(name).await? else {
                let name = format!("{}/{name}", asked.namespace);
                return Ok(Err(OverlayError::NoConfigMap(name)));
            };
            maps.push(map);
        }
        let read = |map: ConfigMap| {
            let name = map.metadata.name.unwrap_or_default();
            Overlay::read(&name, map.data.iter().flatten())
        };
        Ok(maps.into_iter().map(read).collect())
    }

    fn api(&self, managed: Managed, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &managed.resource())
    }

    async fn make(
        &self,
        asked: &Asked,
        wanted: &Wanted,
        with_overlays: bool,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let (managed, namespace) = (wanted.managed, asked.namespace.as_str());
        let api = self.api(managed, namespace);
        let shown = format!("{} {namespace}/{}", managed.kind(), wanted.name);
        let there = match self.children.get(managed, namespace, &wanted.name) {
            Some(there) if contains(there, &wanted.object) => return Ok(()),
            Some(there) => match self.other_owner(asked, there) {
                Some(other) => {
                    outcome.blocked.push(format!(
                        "{shown} belongs to Gateway {other}; give one of both another name with \
                         the annotation gateway.istio.io/name-override"
                    ));
                    return Ok(());
                }
                None => true,
            },
            None => match api.get_metadata_opt(&wanted.name).await? {
                Some(there) if !is_ours(there.metadata.labels.as_ref()) => {
                    // An account that the Gateway names is its owner's to make.
                    if managed != Managed::ServiceAccount || asked.account == asked.name {
                        outcome.blocked.push(format!(
                            "{shown} is not ours (it lacks the label {MANAGED}) and is left \
                             alone; remove it, or choose another name with the annotation \
                             gateway.istio.io/name-override"
                        ));
                    }
                    return Ok(());
                }
                there => there.is_some(),
            },
        };
        let params = PatchParams::apply(MANAGER).force().validation_strict();
        match api.patch(&wanted.name, &params, &Patch::Apply(&wanted.object)).await {
            Ok(_) => info!(object = shown, gateway = asked.gateway, "applied"),
            Err(error) => return failed(error, &shown, with_overlays, outcome),
        }
        if managed == Managed::Deployment && !there {
            self.first_replicas(asked, wanted, &api).await?;
        }
        Ok(())
    }

    /// As many as the autoscaler would come to, at once. By another manager than what is
    /// applied: the autoscaler changes it later.
    async fn first_replicas(
        &self,
        asked: &Asked,
        wanted: &Wanted,
        api: &Api<DynamicObject>,
    ) -> Result<(), Error> {
        if wanted.object["spec"]["replicas"].is_u64() || asked.replicas < 2 {
            return Ok(());
        }
        let params = PatchParams {
            field_manager: Some(format!("{MANAGER}-replicas")),
            ..PatchParams::default()
        };
        let replicas = json!({"spec": {"replicas": asked.replicas}});
        api.patch(&wanted.name, &params, &Patch::Merge(&replicas)).await.map(drop)
    }

    /// Another Gateway that is there and has this object.
    fn other_owner(&self, asked: &Asked, there: &Value) -> Option<String> {
        let uids: Vec<&str> = owners(there).filter(|uid| *uid != asked.uid).collect();
        let gateways = self.observed.all(Kind::Gateway, Some(&asked.namespace));
        let other = gateways.into_iter().find(|(_, gateway)| uids.contains(&gateway.uid.as_str()));
        other.map(|(name, _)| Key::new(&name.namespace, &name.name).to_string())
    }

    /// Removes what the Gateway owns and wants no longer.
    async fn prune(&self, gateway: &Seen, wanted: &[Wanted]) -> Result<(), Error> {
        let namespace = gateway.value["metadata"]["namespace"].as_str().unwrap_or_default();
        for (managed, name, uid) in self.children.of(namespace, &gateway.uid) {
            if wanted.iter().any(|w| w.managed == managed && w.name == name) {
                continue;
            }
            let this_one = Preconditions { uid: Some(uid), resource_version: None };
            let params =
                DeleteParams { preconditions: Some(this_one), ..DeleteParams::background() };
            match self.api(managed, namespace).delete(&name, &params).await {
                Ok(_) => info!(kind = managed.kind(), namespace, name, "removed"),
                Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_ours(labels: Option<&std::collections::BTreeMap<String, String>>) -> bool {
    labels.and_then(|labels| labels.get(MANAGED)).is_some_and(|value| value == CONTROLLER)
}

/// Whether a failed write is its author's mistake, the operator's, or may go better.
fn failed(
    error: Error,
    shown: &str,
    with_overlays: bool,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Error::Api(status) = &error else { return Err(error) };
    // What a field that no schema has is answered with.
    let unknown_field = status.message.contains("failed to create typed patch object");
    match if unknown_field { 422 } else { status.code } {
        // The namespace goes.
        404 => {}
        403 if status.message.contains("being terminated") => {}
        403 => {
            warn!(object = shown, %error, "not permitted");
            outcome.blocked.push(format!("{shown} cannot be made: {}", status.message));
        }
        400 | 422 if with_overlays => {
            outcome.invalid = Some(format!("the API server refuses {shown}: {}", status.message));
        }
        400 | 422 => {
            warn!(object = shown, %error, "refused by the API server");
            outcome.blocked.push(format!("the API server refuses {shown}: {}", status.message));
        }
        _ => return Err(error),
    }
    Ok(())
}
