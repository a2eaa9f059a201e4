//! Raw objects to the checked ones of the model.
//!
//! docs/wire.md, "Objects".

mod core;
mod gateway;
mod mesh;
mod networking;
mod security;
mod stand_in;
mod tokens;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::object::{Key, Kind, Meta, Object, ObjectRef};

pub use stand_in::{LAST_GOOD, NOTHING, StandIn, stand_in};

/// Names of the mesh that reading needs.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the ConfigMap with the mesh configuration is: namespace and name.
    pub mesh_config: Key,
    /// Whether the status of an object is ours to believe: in an API server only we write it.
    pub has_status: bool,
}

/// An object that was read.
#[derive(Debug)]
pub struct Read {
    /// Which object.
    pub object: ObjectRef,
    /// The object itself.
    pub value: Object,
    /// What in it is not taken as written.
    pub notes: Vec<Note>,
}

/// A field that is not taken as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path of the field.
    pub field: String,
    /// What was found and what would be right.
    pub message: String,
}

impl Note {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why an object cannot be read at all; its last good version stays in force, or else what
/// [`stand_in`] says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No mapping with a kind.
    #[error("is no Kubernetes object: write a mapping with apiVersion, kind and metadata.name")]
    NotAnObject,
    /// A kind that the mesh has no use for.
    #[error("kind {kind:?} of {api:?} is not one that Ambit reads; remove it or keep it elsewhere")]
    UnknownKind {
        /// `apiVersion`.
        api: String,
        /// `kind`.
        kind: String,
    },
    /// A ConfigMap other than the mesh configuration.
    #[error("ConfigMap {0} is not the mesh configuration; Ambit reads no other")]
    OtherConfigMap(String),
    /// A name that Kubernetes would refuse.
    #[error("{found:?} is no name: write a-z, 0-9, '-' and '.', at most 253 of them")]
    Name {
        /// Path of the field.
        field: &'static str,
        /// What is written there.
        found: String,
    },
    /// A field of the wrong type or with an impossible value.
    #[error("{message}")]
    Field {
        /// Path of the field.
        field: String,
        /// What was found and what would be right.
        message: String,
    },
}

impl ReadError {
    fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { field: field.into(), message: message.into() }
    }

    /// Path of the field in question, or empty.
    pub fn path(&self) -> &str {
        match self {
            Self::NotAnObject => "",
            Self::UnknownKind { .. } => "kind",
            Self::OtherConfigMap(_) => "metadata.name",
            Self::Name { field, .. } => field,
            Self::Field { field, .. } => field,
        }
    }
}

/// What an object says that it is, even where the rest cannot be read.
pub fn identify(value: &Value, context: &Context) -> Option<ObjectRef> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = kind_of(text("/apiVersion"), text("/kind"))?;
    let name = text("/metadata/name");
    let namespace = match text("/metadata/namespace") {
        "" => "default",
        given => given,
    };
    if kind == Kind::MeshConfig && context.mesh_config != Key::new(namespace, name) {
        return None;
    }
    (!name.is_empty()).then(|| ObjectRef::new(kind, namespace, name))
}

fn kind_of(api: &str, kind: &str) -> Option<Kind> {
    Some(match (api, kind) {
        ("v1", "Namespace") => Kind::Namespace,
        ("v1", "Node") => Kind::Node,
        ("v1", "Pod") => Kind::Pod,
        ("v1", "ServiceAccount") => Kind::ServiceAccount,
        ("v1", "Service") => Kind::Service,
        ("v1", "ConfigMap") => Kind::MeshConfig,
        ("discovery.k8s.io/v1", "EndpointSlice") => Kind::EndpointSlice,
        ("gateway.networking.k8s.io/v1" | "gateway.networking.k8s.io/v1beta1", kind) => {
            match kind {
                "GatewayClass" => Kind::GatewayClass,
                "Gateway" => Kind::Gateway,
                "HTTPRoute" => Kind::HTTPRoute,
                "GRPCRoute" => Kind::GRPCRoute,
                "ReferenceGrant" => Kind::ReferenceGrant,
                _ => return None,
            }
        }
        ("security.istio.io/v1" | "security.istio.io/v1beta1", "AuthorizationPolicy") => {
            Kind::AuthorizationPolicy
        }
        ("security.istio.io/v1" | "security.istio.io/v1beta1", "PeerAuthentication") => {
            Kind::PeerAuthentication
        }
        ("networking.istio.io/v1" | "networking.istio.io/v1beta1", "ServiceEntry") => {
            Kind::ServiceEntry
        }
        ("networking.istio.io/v1" | "networking.istio.io/v1beta1", "WorkloadEntry") => {
            Kind::WorkloadEntry
        }
        ("security.istio.io/v1" | "security.istio.io/v1beta1", "RequestAuthentication") => {
            Kind::RequestAuthentication
        }
        _ => return None,
    })
}

/// Reads one object.
///
/// # Errors
/// See [`ReadError`].
pub fn read(value: &Value, context: &Context) -> Result<Read, ReadError> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (api, kind) = (text("/apiVersion"), text("/kind"));
    if !value.is_object() || kind.is_empty() {
        return Err(ReadError::NotAnObject);
    }
    let Some(kind) = kind_of(api, kind) else {
        return Err(ReadError::UnknownKind { api: api.to_owned(), kind: kind.to_owned() });
    };
    let mut notes = Vec::new();
    let object = match kind {
        Kind::Namespace => core::namespace(value, &mut notes)?,
        Kind::Node => core::node(value, &mut notes)?,
        Kind::Pod => core::pod(value, &mut notes)?,
        Kind::ServiceAccount => core::service_account(value, &mut notes)?,
        Kind::Service => core::service(value, &mut notes)?,
        Kind::EndpointSlice => core::endpoint_slice(value, &mut notes)?,
        Kind::GatewayClass => gateway::class(value, &mut notes)?,
        Kind::Gateway => gateway::gateway(value, &mut notes)?,
        Kind::HTTPRoute => gateway::http_route(value, &mut notes)?,
        Kind::GRPCRoute => gateway::grpc_route(value, &mut notes)?,
        Kind::ReferenceGrant => gateway::reference_grant(value, &mut notes)?,
        Kind::AuthorizationPolicy => security::authorization_policy(value, &mut notes)?,
        Kind::PeerAuthentication => security::peer_authentication(value, &mut notes)?,
        Kind::ServiceEntry => networking::service_entry(value, context, &mut notes)?,
        Kind::WorkloadEntry => networking::workload_entry(value, &mut notes)?,
        Kind::RequestAuthentication => tokens::request_authentication(value, &mut notes)?,
        Kind::MeshConfig => mesh::mesh_config(value, context, &mut notes)?,
    };
    let name = identify(value, context).ok_or(ReadError::NotAnObject)?;
    Ok(Read { object: name, value: object, notes })
}

/// Said of a field that no type of ours has.
pub const IGNORED: &str = "is no field that Ambit reads; it is ignored";

/// Decodes `value`; fields that `T` does not know are noted.
fn decode<T: DeserializeOwned>(
    value: &Value,
    prefix: &str,
    notes: &mut Vec<Note>,
) -> Result<T, ReadError> {
    let (decoded, unknown) = decode_quietly(value, prefix)?;
    for field in unknown {
        notes.push(Note::new(field, IGNORED));
    }
    Ok(decoded)
}

/// Decodes `value` and returns the fields that `T` does not know.
fn decode_quietly<T: DeserializeOwned>(
    value: &Value,
    prefix: &str,
) -> Result<(T, Vec<String>), ReadError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let decoded = serde_ignored::deserialize(tracked, |path| {
        unknown.push(join(prefix, &path.to_string().replace(".?", "")));
    });
    match decoded {
        Ok(decoded) => Ok((decoded, unknown)),
        Err(error) => {
            let path = track.path().to_string();
            Err(ReadError::field(join(prefix, path.trim_matches('.')), error.to_string()))
        }
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("", path) => path.to_owned(),
        (prefix, "" | "?") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}.{path}"),
    }
}

/// The metadata of a raw object, for kinds that have no type in `k8s-openapi`.
fn raw_meta(value: &Value, kind: Kind, notes: &mut Vec<Note>) -> Result<Meta, ReadError> {
    let null = Value::Null;
    let raw: ObjectMeta = decode(value.get("metadata").unwrap_or(&null), "metadata", notes)?;
    meta(raw, kind)
}

fn meta(raw: ObjectMeta, kind: Kind) -> Result<Meta, ReadError> {
    let name = raw.name.unwrap_or_default();
    check_name("metadata.name", &name)?;
    let namespace = match raw.namespace {
        _ if !kind.namespaced() => String::new(),
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => "default".to_owned(),
    };
    if kind.namespaced() {
        check_name("metadata.namespace", &namespace)?;
    }
    Ok(Meta {
        key: Key { namespace, name },
        labels: raw.labels.unwrap_or_default(),
        annotations: raw.annotations.unwrap_or_default(),
        created: raw.creation_timestamp.map(|t| t.0.to_string()).unwrap_or_default(),
    })
}

/// RFC 1123 subdomain, as Kubernetes demands it: it keeps `..`, slashes, NUL and line breaks
/// out of every name that is built from it.
fn check_name(field: &'static str, name: &str) -> Result<(), ReadError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let label = |l: &str| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-');
    if name.len() <= 253 && name.bytes().all(plain) && name.split('.').all(label) {
        Ok(())
    } else {
        Err(ReadError::Name { field, found: name.chars().take(120).collect() })
    }
}
