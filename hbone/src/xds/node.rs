//! Who the client says it is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::wire::pb::envoy::config::core::v3::Node;

/// The client's description of itself, sent in the first request of each type.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// `ztunnel` or `waypoint`.
    pub kind: String,
    /// The pod's address, if it is known.
    pub ip: Option<IpAddr>,
    /// Name of the client's own pod.
    pub pod: String,
    /// Namespace of the client's own pod.
    pub namespace: String,
    /// Service account of the client's own pod; empty leaves it out, and unchecked.
    pub service_account: String,
    /// Kubernetes node, empty if there is none.
    pub node: String,
    /// DNS suffix of the cluster, such as `cluster.local`.
    pub cluster_domain: String,
    /// Further metadata, see [`NodeInfo::metadata_from_env`].
    pub metadata: BTreeMap<String, Value>,
}

impl NodeInfo {
    /// The metadata that the environment adds: `ISTIO_META_X=v` as `X: v`, and
    /// `ISTIO_METAJSON_X=json` as `X` with the parsed value. Other variables are ignored.
    ///
    /// # Errors
    /// The name of the variable that should be JSON and is not, and why.
    pub fn metadata_from_env(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<BTreeMap<String, Value>, (String, serde_json::Error)> {
        let mut metadata = BTreeMap::new();
        for (name, value) in variables {
            if let Some(key) = name.strip_prefix("ISTIO_METAJSON_") {
                match serde_json::from_str(&value) {
                    Ok(json) => metadata.insert(key.to_owned(), from_json(json)),
                    Err(error) => return Err((name, error)),
                };
            } else if let Some(key) = name.strip_prefix("ISTIO_META_") {
                metadata.insert(key.to_owned(), text(value));
            }
        }
        Ok(metadata)
    }

    /// The message; the id has the four parts that a server checks.
    pub(super) fn to_node(&self) -> Node {
        let ip = self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)));
        let Self { kind, pod, namespace, cluster_domain, .. } = self;
        let id = format!("{kind}~{ip}~{pod}.{namespace}~{namespace}.svc.{cluster_domain}");
        Node { id, metadata: Some(Struct { fields: self.fields() }), ..Default::default() }
    }

    fn fields(&self) -> BTreeMap<String, Value> {
        let mut fields = self.metadata.clone();
        let own = [
            ("NAME", self.pod.clone()),
            ("NAMESPACE", self.namespace.clone()),
            ("NODE_NAME", self.node.clone()),
            ("SERVICE_ACCOUNT", self.service_account.clone()),
            ("INSTANCE_IPS", self.ip.map(|ip| ip.to_string()).unwrap_or_default()),
        ];
        for (name, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
            fields.insert(name.to_owned(), text(value));
        }
        fields
    }
}

fn text(value: String) -> Value {
    Value { kind: Some(Kind::StringValue(value)) }
}

fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        // A Struct has only doubles.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(value) => Kind::StringValue(value),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(from_json).collect() })
        }
        Json::Object(members) => {
            let fields = members.into_iter().map(|(name, value)| (name, from_json(value)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Value { kind: Some(kind) }
}
