//! Objects as the API server has them, as far as somebody writes on account of them: their
//! status, and what the model has no use for. The source fills it in; writers read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::model::object::{Kind, ObjectRef};

/// The kinds that are kept.
const KINDS: [Kind; 11] = [
    Kind::Namespace,
    Kind::Service,
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
    Kind::AuthorizationPolicy,
    Kind::PeerAuthentication,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::RequestAuthentication,
];

/// An object.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// `metadata` without bookkeeping, `status`, and of Gateways and their classes `spec`.
    pub value: Value,
    /// Its UID.
    pub uid: String,
    /// How often its `spec` has changed; none for kinds that do not count.
    pub generation: Option<i64>,
    /// Its version, for writes that must not lose another's.
    pub version: String,
    /// Managers of single labels that were applied: label and manager.
    pub applied_labels: Vec<(String, String)>,
}

/// All of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<ObjectRef, Arc<Seen>>,
    /// Each object once, at its last change.
    log: BTreeMap<u64, ObjectRef>,
    positions: HashMap<ObjectRef, u64>,
    last: u64,
}

impl Inner {
    fn forget(&mut self, name: &ObjectRef) {
        if let Some(position) = self.positions.remove(name) {
            self.log.remove(&position);
        }
    }
}

impl Observed {
    /// Notes an object.
    pub fn see(&self, name: &ObjectRef, object: &DynamicObject) {
        if !KINDS.contains(&name.kind) {
            return;
        }
        let seen = Arc::new(Seen::of(name.kind, object));
        let mut inner = self.lock();
        if inner.objects.get(name) == Some(&seen) {
            return;
        }
        inner.forget(name);
        inner.last += 1;
        let position = inner.last;
        inner.log.insert(position, name.clone());
        inner.positions.insert(name.clone(), position);
        inner.objects.insert(name.clone(), seen);
        drop(inner);
        self.changed.send_replace(position);
    }

    /// Notes that an object is gone. Who looks at changes hears that there are some.
    pub fn forget(&self, name: &ObjectRef) {
        let mut inner = self.lock();
        if inner.objects.remove(name).is_some() {
            inner.forget(name);
            inner.last += 1;
            let last = inner.last;
            drop(inner);
            self.changed.send_replace(last);
        }
    }

    /// An object.
    pub fn get(&self, name: &ObjectRef) -> Option<Arc<Seen>> {
        self.lock().objects.get(name).cloned()
    }

    /// The objects of a kind, in one namespace or in all.
    pub fn all(&self, kind: Kind, namespace: Option<&str>) -> Vec<(ObjectRef, Arc<Seen>)> {
        let inner = self.lock();
        let of_kind = |name: &ObjectRef| {
            name.kind == kind && namespace.is_none_or(|namespace| name.namespace == namespace)
        };
        let chosen = inner.objects.iter().filter(|(name, _)| of_kind(name));
        chosen.map(|(name, seen)| (name.clone(), seen.clone())).collect()
    }

    /// The objects that have changed since `position` and are there, and the position now.
    pub fn since(&self, position: u64) -> (Vec<ObjectRef>, u64) {
        let inner = self.lock();
        let changed = inner.log.range(position + 1..).map(|(_, name)| name.clone());
        (changed.collect(), inner.last)
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code under the lock panics halfway through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn of(kind: Kind, object: &DynamicObject) -> Self {
        let meta = &object.metadata;
        let mut value = json!({
            "metadata": {
                "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
                "labels": meta.labels, "annotations": meta.annotations,
                "deletionTimestamp": meta.deletion_timestamp,
            },
            "status": object.data.get("status").cloned().unwrap_or_default(),
        });
        if matches!(kind, Kind::Gateway | Kind::GatewayClass) {
            value["spec"] = object.data.get("spec").cloned().unwrap_or_default();
        }
        let fields = meta.managed_fields.iter().flatten();
        let applied = fields.filter(|entry| entry.operation.as_deref() == Some("Apply"));
        let labels = applied.flat_map(|entry| {
            let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
            let labels = fields.and_then(|fields| fields.pointer("/f:metadata/f:labels"));
            let names = labels.and_then(Value::as_object).into_iter().flatten();
            let manager = entry.manager.clone().unwrap_or_default();
            names
                .filter_map(|(name, _)| name.strip_prefix("f:"))
                .map(move |name| (name.to_owned(), manager.clone()))
        });
        Self {
            // Nobody asks of the others.
            applied_labels: if kind == Kind::Namespace { labels.collect() } else { Vec::new() },
            value,
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation,
            version: meta.resource_version.clone().unwrap_or_default(),
        }
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.value["metadata"]["labels"].get(name)?.as_str()
    }

    /// Whether a deletion has begun.
    pub fn is_deleting(&self) -> bool {
        self.value["metadata"]["deletionTimestamp"].is_string()
    }
}

#[cfg(test)]
mod tests;
