//! What would change, as lines of YAML.

use anyhow::Context as _;
use kube::api::DynamicObject;
use serde_json::Value;
use similar::TextDiff;

use super::bundle::{self, Bundle};
use super::target::Target;

/// Lines around a change.
const AROUND: usize = 3;

/// What the API server adds by itself, and changes at every write.
const NOISE: [&str; 5] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// Prints what would change; returns how many objects would.
///
/// # Errors
/// What the API server says.
pub(super) async fn show(target: &Target, bundle: &Bundle) -> anyhow::Result<usize> {
    let mut changes = 0;
    for object in bundle.objects() {
        let name = bundle::name(object);
        let live = target.live(object).await.unwrap_or_default();
        let wanted = match target.would_be(object).await {
            Ok(wanted) => text(&wanted)?,
            // Its namespace or its kind would come with this very change.
            Err(_) if live.is_none() => serde_saphyr::to_string(object)?,
            Err(error) => return Err(error).with_context(|| name),
        };
        let found = live.as_ref().map(text).transpose()?.unwrap_or_default();
        if found != wanted {
            changes += 1;
            print!("{}", unified(&name, &found, &wanted));
        }
    }
    Ok(changes)
}

fn unified(name: &str, found: &str, wanted: &str) -> String {
    let diff = TextDiff::from_lines(found, wanted);
    diff.unified_diff().context_radius(AROUND).header(name, name).to_string()
}

fn text(object: &DynamicObject) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(object)?;
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|key, _| !NOISE.contains(&key.as_str()));
    }
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    Ok(serde_saphyr::to_string(&value)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_somebody_wants_is_compared() {
        let object = |version: &str, image: &str| {
            serde_json::from_value::<DynamicObject>(json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet",
                "metadata": {"name": "a", "resourceVersion": version, "uid": version},
                "spec": {"image": image}, "status": {"ready": version},
            }))
            .expect("an object")
        };
        let [old, same, new] = [object("1", "x:1"), object("2", "x:1"), object("3", "x:2")]
            .map(|object| text(&object).expect("YAML"));
        assert_eq!(old, same);
        let shown = unified("DaemonSet a", &old, &new);
        assert!(shown.contains("-  image: x:1") && shown.contains("+  image: x:2"), "{shown}");
    }
}
