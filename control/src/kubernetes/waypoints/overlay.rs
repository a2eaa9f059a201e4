//! What the owner of a Gateway changes of the objects that it gets: a ConfigMap with a part of
//! each object, merged as `kubectl patch` does (strategic merge).

use serde_json::{Map, Value};

use super::Managed;
use crate::source::document;

/// The parts of one ConfigMap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    parts: Vec<(Managed, Value)>,
}

/// Why an overlay is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// The ConfigMap is not there.
    #[error("ConfigMap {0} is not there")]
    NoConfigMap(String),
    /// A key that is none of ours.
    #[error(
        "ConfigMap {config_map} has key {found:?}; write deployment, service, serviceAccount, \
         horizontalPodAutoscaler or podDisruptionBudget"
    )]
    Key {
        /// Its name.
        config_map: String,
        /// The key.
        found: String,
    },
    /// A text that is no mapping.
    #[error("{key} is no mapping: {reason}")]
    Text {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A field that is not the overlay's to change.
    #[error("{key}: {field} {reason}")]
    Forbidden {
        /// The key.
        key: &'static str,
        /// The field's path.
        field: String,
        /// Why.
        reason: String,
    },
}

impl Overlay {
    /// Reads the `data` of the ConfigMap `name`.
    ///
    /// # Errors
    /// See [`OverlayError`].
    pub fn read<'a>(
        name: &str,
        data: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, OverlayError> {
        let mut parts = Vec::new();
        for (key, text) in data {
            let managed = Managed::ALL.into_iter().find(|m| m.overlay_key() == key);
            let managed = managed.ok_or_else(|| OverlayError::Key {
                config_map: name.to_owned(),
                found: key.chars().take(120).collect(),
            })?;
            let wrong = |reason| OverlayError::Text { key: managed.overlay_key(), reason };
            let value = document::parse(text).map_err(wrong)?;
            if !value.is_object() {
                return Err(wrong("write fields of the object".to_owned()));
            }
            parts.push((managed, value));
        }
        parts.sort_by_key(|(managed, _)| *managed);
        Ok(Self { parts })
    }

    /// The part for a kind.
    pub fn of(&self, managed: Managed) -> Option<&Value> {
        self.parts.iter().find(|(m, _)| *m == managed).map(|(_, value)| value)
    }
}

/// Merges a part into an object.
///
/// # Errors
/// A field that is not the overlay's to change.
pub fn merge(managed: Managed, object: &mut Value, part: &Value) -> Result<(), OverlayError> {
    let key = managed.overlay_key();
    let forbidden = |field: String, reason: &str| OverlayError::Forbidden {
        key,
        field,
        reason: reason.to_owned(),
    };
    for (field, value) in part.as_object().into_iter().flatten() {
        match field.as_str() {
            "apiVersion" if *value == managed.api_version() => {}
            "kind" if *value == managed.kind() => {}
            "apiVersion" | "kind" | "status" => {
                return Err(forbidden(field.clone(), "cannot be changed; leave it out"));
            }
            "metadata" => {
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    if !matches!(name.as_str(), "labels" | "annotations") {
                        let field = format!("metadata.{name}");
                        let reason = "cannot be changed; labels and annotations can";
                        return Err(forbidden(field, reason));
                    }
                }
            }
            _ => {}
        }
    }
    if part.pointer("/spec/selector").is_some() && managed != Managed::HorizontalPodAutoscaler {
        let reason = "cannot be changed: it chooses the waypoint's pods";
        return Err(forbidden("spec.selector".to_owned(), reason));
    }
    strategic(object, part, "").map_err(|(field, reason)| OverlayError::Forbidden {
        key,
        field,
        reason: reason.to_owned(),
    })
}

/// What is wrong, with the field's path.
type Wrong = (String, &'static str);

const DIRECTIVE: &str = "is not understood; write $patch: delete in an item, or null to remove";

fn strategic(into: &mut Value, part: &Value, path: &str) -> Result<(), Wrong> {
    let Value::Object(part) = part else {
        *into = part.clone();
        return Ok(());
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(map) = into else { return Ok(()) };
    for (field, value) in part {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        if field.starts_with('$') {
            return Err((path, DIRECTIVE));
        }
        match value {
            Value::Null => drop(map.remove(field)),
            Value::Array(items) => {
                let old = map.entry(field.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(old, items, field, &path)?;
            }
            value => strategic(map.entry(field.clone()).or_insert(Value::Null), value, &path)?,
        }
    }
    Ok(())
}

/// By which field items of a list are the same (Kubernetes API, `patchMergeKey`); `None` for a
/// list that is replaced as a whole.
fn merge_key(list: &str, items: &[Value]) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "hostAliases" => Some("ip"),
        // A container's and a Service's.
        "ports" if items.iter().any(|item| item.get("containerPort").is_some()) => {
            Some("containerPort")
        }
        "ports" => Some("port"),
        _ => None,
    }
}

fn merge_list(old: &mut Value, items: &[Value], list: &str, path: &str) -> Result<(), Wrong> {
    let key = merge_key(list, items);
    let (Value::Array(old), Some(key)) = (&mut *old, key) else {
        *old = Value::Array(items.to_vec());
        return Ok(());
    };
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Some(id) = item.get(key) else {
            return Err((path, "has not the field by which items of this list are told apart"));
        };
        let same = old.iter().position(|o| o.get(key) == Some(id));
        if let Some(directive) = item.get("$patch") {
            if directive != "delete" {
                return Err((path, DIRECTIVE));
            }
            old.retain(|o| o.get(key) != Some(id));
            continue;
        }
        match same.and_then(|at| old.get_mut(at)) {
            Some(same) => strategic(same, item, &path)?,
            None => old.push(item.clone()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
