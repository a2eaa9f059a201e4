//! One configuration from another: the same network, with our plugin behind its own.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::plugin;

/// What our plugin is told.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Directory of the agent's sockets, on the node.
    pub run_dir: PathBuf,
    /// Namespaces whose pods start whatever the agent says.
    pub exclude_namespaces: Vec<String>,
}

/// Why a configuration cannot be chained to.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Not JSON, or no object.
    #[error("is no CNI configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither one plugin nor a list of them.
    #[error("has neither plugins nor type")]
    Shape,
    /// Its version has no chains.
    #[error("has cniVersion {0:?}; chains need 0.3.0 or newer")]
    Version(String),
}

/// The configuration `original` with our plugin as the last of its chain. Its name stays: the
/// network's own plugins keep what they know of pods under it.
///
/// # Errors
/// See [`ChainError`].
pub fn with_plugin(original: &[u8], entry: &Entry) -> Result<Vec<u8>, ChainError> {
    let mut config: Map<String, Value> = serde_json::from_slice(original)?;
    let version = config.get("cniVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !plugin::VERSIONS.contains(&version.as_str()) {
        return Err(ChainError::Version(version));
    }
    if config.contains_key("type") && !config.contains_key("plugins") {
        let name = config.get("name").cloned().unwrap_or(Value::Null);
        let alone = Value::Object(config);
        config = Map::from_iter([
            ("cniVersion".to_owned(), json!(version)),
            ("name".to_owned(), name),
            ("plugins".to_owned(), json!([alone])),
        ]);
    }
    let plugins = config.get_mut("plugins").and_then(Value::as_array_mut);
    let plugins = plugins.filter(|list| !list.is_empty()).ok_or(ChainError::Shape)?;
    plugins.retain(|found| found["type"] != plugin::NAME);
    plugins.push(json!({
        "type": plugin::NAME,
        "cni_agent_run_dir": entry.run_dir,
        "exclude_namespaces": entry.exclude_namespaces,
    }));
    Ok(serde_json::to_vec_pretty(&config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(original: &str) -> Result<Value, ChainError> {
        let entry =
            Entry { run_dir: "/run/a".into(), exclude_namespaces: vec!["kube-system".to_owned()] };
        let made = with_plugin(original.as_bytes(), &entry)?;
        // What was made is chained to as well, and does not grow.
        assert_eq!(with_plugin(&made, &entry).expect("again"), made);
        Ok(serde_json::from_slice(&made)?)
    }

    #[test]
    fn the_plugin_is_the_last_of_a_list_or_the_second_of_two() {
        let list = r#"{"cniVersion":"1.0.0","name":"pods","disableCheck":true,
            "plugins":[{"type":"bridge","bridge":"cni0"},{"type":"portmap"}]}"#;
        let made = chained(list).expect("chained");
        assert_eq!(made["name"], "pods");
        assert_eq!(made["disableCheck"], true, "what we do not know stays");
        let types: Vec<_> = made["plugins"].as_array().expect("a list").iter().collect();
        assert_eq!(types.len(), 3);
        assert_eq!(types[0]["bridge"], "cni0");
        assert_eq!(types[2]["type"], "ambit-cni");
        assert_eq!(types[2]["cni_agent_run_dir"], "/run/a");

        let alone = r#"{"cniVersion":"0.3.1","name":"pods","type":"ptp","ipam":{"type":"dhcp"}}"#;
        let made = chained(alone).expect("chained");
        assert_eq!((&made["name"], &made["cniVersion"]), (&json!("pods"), &json!("0.3.1")));
        assert_eq!(made["plugins"][0]["ipam"]["type"], "dhcp");
        assert_eq!(made["plugins"][1]["type"], "ambit-cni");
    }

    #[test]
    fn what_cannot_be_chained_to_is_refused_with_the_reason() {
        for (original, part) in [
            ("x", "no CNI configuration"),
            (r#"{"cniVersion":"1.0.0"}"#, "neither plugins nor type"),
            (r#"{"cniVersion":"1.0.0","plugins":[]}"#, "neither plugins nor type"),
            (r#"{"cniVersion":"0.2.0","type":"bridge"}"#, "0.2.0"),
            (r#"{"type":"bridge"}"#, "cniVersion"),
        ] {
            let error = chained(original).expect_err(original).to_string();
            assert!(error.contains(part), "{original}: {error}");
        }
    }
}
