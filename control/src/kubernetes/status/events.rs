//! Events of `events.k8s.io`: what is wrong with an object, for who looks at it.
//!
//! An Event's name follows from what it says, so that saying it again, after a restart or by
//! another replica, makes no second one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use serde_json::Value;
use tracing::debug;

use crate::kubernetes::observed::{Observed, Seen};
use crate::model::object::ObjectRef;
use crate::source::Problem;
use crate::source::kubernetes::kinds;
use crate::state::digest;

/// Longest note that the API server takes, bytes.
const MAX_NOTE: usize = 1_024;
/// Who reports, as Events name it.
const CONTROLLER: &str = "ambit.dev/control";

/// Writes them.
pub(super) struct Events {
    client: Client,
    instance: String,
    /// Problems that were told of and are there still.
    told: BTreeSet<(String, String)>,
}

impl Events {
    pub(super) fn new(client: Client, instance: String) -> Self {
        Self { client, instance, told: BTreeSet::new() }
    }

    /// Tells of conditions that are newly false, or false for another reason.
    pub(super) async fn conditions(&self, name: &ObjectRef, seen: &Seen, status: &Value) {
        let before = unmet(&seen.value["status"]);
        for (reason, message) in unmet(status).difference(&before) {
            self.publish(name, seen, reason, message).await;
        }
    }

    /// Tells of fields that are not taken as written, once for as long as they are there.
    pub(super) async fn problems(&mut self, problems: &[Problem], observed: &Observed) {
        let mut now = BTreeSet::new();
        for problem in problems {
            let Some(name) = reference(&problem.object) else { continue };
            let Some(seen) = observed.get(&name) else { continue };
            let note = format!("{}: {}", problem.field, problem.message);
            let told = (problem.object.clone(), note.clone());
            if !self.told.contains(&told) {
                self.publish(&name, &seen, "NotTakenAsWritten", &note).await;
            }
            now.insert(told);
        }
        self.told = now;
    }

    async fn publish(&self, name: &ObjectRef, seen: &Seen, reason: &str, note: &str) {
        let Some(event) = event(name, seen, reason, note, &self.instance) else { return };
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            // It was said before.
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => debug!(object = %name, %error, "event not written"),
        }
    }
}

/// Reasons and messages of conditions that do not hold, at any depth of a status.
fn unmet(status: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut stack = vec![status];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => stack.extend(items),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
                // Of a waypoint that starts, nothing is wrong yet; of no conflict, never.
                let quiet = matches!(text("reason"), "Pending" | "NoConflicts");
                if text("status") == "False" && !text("message").is_empty() && !quiet {
                    found.insert((text("reason").to_owned(), text("message").to_owned()));
                }
                stack.extend(map.values());
            }
            _ => {}
        }
    }
    found
}

fn event(name: &ObjectRef, seen: &Seen, reason: &str, note: &str, instance: &str) -> Option<Event> {
    let (api_version, kind) = kinds::of_kind(name.kind)?.version_and_kind();
    let hash = digest::short(format!("{} {reason} {note}", seen.uid).as_bytes());
    let short: String = name.name.chars().take(200).collect();
    let end = (0..=MAX_NOTE.min(note.len())).rev().find(|at| note.is_char_boundary(*at));
    let in_namespace = (!name.namespace.is_empty()).then(|| name.namespace.clone());
    Some(Event {
        metadata: ObjectMeta {
            name: Some(format!("{short}.{hash}")),
            namespace: Some(in_namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        regarding: Some(ObjectReference {
            api_version: Some(api_version),
            kind: Some(kind.to_owned()),
            name: Some(name.name.clone()),
            namespace: in_namespace,
            uid: Some(seen.uid.clone()),
            ..ObjectReference::default()
        }),
        type_: Some("Warning".to_owned()),
        reason: Some(reason.to_owned()),
        action: Some("Check".to_owned()),
        note: note.get(..end.unwrap_or_default()).map(str::to_owned),
        event_time: Some(MicroTime(Timestamp::now())),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        ..Event::default()
    })
}

/// The object that a text such as `HTTPRoute shop/store` names.
fn reference(text: &str) -> Option<ObjectRef> {
    let (kind, name) = text.split_once(' ')?;
    let kind = kinds::ALL.into_iter().find(|watched| format!("{:?}", watched.kind) == kind)?.kind;
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Some(ObjectRef::new(kind, namespace, name))
}

#[cfg(test)]
mod tests;
