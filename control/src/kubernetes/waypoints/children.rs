//! What the API server has of the objects that are made for Gateways. Pure.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::Managed;
use crate::model::object::Key;
use crate::translate::waypoint::GATEWAY_NAME;

/// Kind, and namespace and name.
type Name = (Managed, Key);

/// Objects with our label.
#[derive(Debug, Default)]
pub(super) struct Children {
    objects: BTreeMap<Name, Value>,
    /// Those of a list that is not complete.
    listed: BTreeMap<Managed, BTreeSet<Key>>,
    known: BTreeSet<Managed>,
}

impl Children {
    /// Whether every kind has been listed once: before that, nothing is missing.
    pub(super) fn are_known(&self) -> bool {
        self.known.len() == Managed::ALL.len()
    }

    pub(super) fn get(&self, managed: Managed, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(managed, Key::new(namespace, name)))
    }

    /// Those that a Gateway owns: kind, name and UID.
    pub(super) fn of(&self, namespace: &str, owner: &str) -> Vec<(Managed, String, String)> {
        let own = self.objects.iter().filter(|((_, key), object)| {
            key.namespace == namespace && owners(object).any(|uid| uid == owner)
        });
        own.map(|((managed, key), object)| {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            (*managed, key.name.clone(), uid.to_owned())
        })
        .collect()
    }

    /// Takes an event; the Gateways whose objects it concerns.
    pub(super) fn take(
        &mut self,
        managed: Managed,
        event: Event<DynamicObject>,
        gateways: &mut BTreeSet<Key>,
    ) {
        match event {
            Event::Init => drop(self.listed.insert(managed, BTreeSet::new())),
            Event::InitApply(object) => {
                let key = self.put(managed, object, gateways);
                self.listed.entry(managed).or_default().insert(key);
            }
            Event::InitDone => {
                self.known.insert(managed);
                let listed = self.listed.remove(&managed).unwrap_or_default();
                let gone =
                    self.objects.keys().filter(|(m, k)| *m == managed && !listed.contains(k));
                for name in gone.cloned().collect::<Vec<_>>() {
                    self.remove(&name, gateways);
                }
            }
            Event::Apply(object) => drop(self.put(managed, object, gateways)),
            Event::Delete(object) => {
                let meta = object.metadata;
                let key = Key {
                    namespace: meta.namespace.unwrap_or_default(),
                    name: meta.name.unwrap_or_default(),
                };
                self.remove(&(managed, key), gateways);
            }
        }
    }

    fn put(
        &mut self,
        managed: Managed,
        mut object: DynamicObject,
        gateways: &mut BTreeSet<Key>,
    ) -> Key {
        object.metadata.managed_fields = None;
        let key = Key {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        };
        let mut value = serde_json::to_value(object).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.remove("status");
        }
        gateways.extend(gateway(&key.namespace, &value));
        if let Some(old) = self.objects.insert((managed, key.clone()), value) {
            gateways.extend(gateway(&key.namespace, &old));
        }
        key
    }

    fn remove(&mut self, name: &Name, gateways: &mut BTreeSet<Key>) {
        if let Some(old) = self.objects.remove(name) {
            gateways.extend(gateway(&name.1.namespace, &old));
        }
    }
}

/// The UIDs of an object's owners.
pub(super) fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().filter_map(|owner| owner["uid"].as_str())
}

fn gateway(namespace: &str, object: &Value) -> Option<Key> {
    let name = object["metadata"]["labels"][GATEWAY_NAME].as_str()?;
    Some(Key::new(namespace, name))
}

#[cfg(test)]
mod tests;
