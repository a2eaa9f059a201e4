//! Our conditions among those of other controllers. Pure.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::status::Condition;

/// Longest message of a condition that the API server takes, bytes.
const MAX_MESSAGE: usize = 32_768;

/// The list of an object's conditions: `ours` in the place of all of the types in `owned`, and
/// those of others as they are. The time of a transition changes only with the status.
pub fn merge(
    found: &Value,
    ours: &[Condition],
    owned: &[&str],
    generation: Option<i64>,
    now: Timestamp,
) -> Value {
    let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |kind: &str| found.iter().find(|c| c["type"] == *kind);
    let is_owned = |c: &&Value| owned.iter().any(|kind| c["type"] == **kind);
    let mut all: Vec<Value> = Vec::new();
    for old in found {
        if !is_owned(&old) {
            all.push(old.clone());
        } else if let Some(new) = ours.iter().find(|c| old["type"] == c.kind.as_str()) {
            all.push(written(new, Some(old), generation, now));
        }
    }
    let new = ours.iter().filter(|c| of(&c.kind).is_none());
    all.extend(new.map(|condition| written(condition, None, generation, now)));
    Value::Array(all)
}

fn written(
    condition: &Condition,
    old: Option<&Value>,
    generation: Option<i64>,
    now: Timestamp,
) -> Value {
    let status = if condition.status { "True" } else { "False" };
    let same = old.filter(|old| old["status"] == status);
    let since = same.and_then(|old| old["lastTransitionTime"].as_str()).map(str::to_owned);
    let seconds = || Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let mut value = json!({
        "type": condition.kind,
        "status": status,
        "reason": condition.reason,
        "message": cut(&condition.message),
        "lastTransitionTime": since.unwrap_or_else(seconds),
    });
    if let Some(generation) = generation {
        value["observedGeneration"] = generation.into();
    }
    value
}

fn cut(message: &str) -> &str {
    let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
    message.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
