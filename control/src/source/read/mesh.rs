//! The mesh configuration: YAML inside a ConfigMap.

use hbone::identity::TrustDomain;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::{Context, Note, ReadError, check_name, decode, meta};
use crate::api::mesh::MeshConfigSpec;
use crate::model::object::{Kind, MeshConfig, Object};
use crate::source::document;

type Result<T> = std::result::Result<T, ReadError>;

pub(super) fn mesh_config(
    value: &Value,
    context: &Context,
    notes: &mut Vec<Note>,
) -> Result<Object> {
    let raw: ConfigMap = decode(value, "", notes)?;
    let meta = meta(raw.metadata, Kind::MeshConfig)?;
    if meta.key != context.mesh_config {
        return Err(ReadError::OtherConfigMap(meta.key.to_string()));
    }
    let text = raw.data.unwrap_or_default().remove("mesh").unwrap_or_default();
    let yaml: Value = match text.trim() {
        "" => Value::Object(serde_json::Map::new()),
        text => document::parse(text).map_err(|e| ReadError::field("data.mesh", e))?,
    };
    let spec: MeshConfigSpec = decode(&yaml, "data.mesh", notes)?;
    let trust_domain = match spec.trust_domain.as_deref() {
        None | Some("") => TrustDomain::default(),
        Some(text) => named("data.mesh.trustDomain", text)?,
    };
    let aliases = spec.trust_domain_aliases.iter().enumerate();
    let aliases = aliases
        .map(|(at, text)| named(&format!("data.mesh.trustDomainAliases[{at}]"), text))
        .collect::<Result<Vec<_>>>()?;
    let root_namespace = match spec.root_namespace {
        Some(name) if !name.is_empty() => name,
        _ => context.mesh_config.namespace.clone(),
    };
    check_name("data.mesh.rootNamespace", &root_namespace)?;
    Ok(Object::MeshConfig(Box::new(MeshConfig {
        trust_domain_aliases: aliases.into_iter().filter(|a| *a != trust_domain).collect(),
        trust_domain,
        root_namespace,
        providers: spec.extension_providers,
    })))
}

fn named(field: &str, text: &str) -> Result<TrustDomain> {
    TrustDomain::new(&text.replace('@', "."))
        .map_err(|error| ReadError::field(field, error.to_string()))
}
