//! A Gateway as far as it says what is to be made for it.

use std::collections::BTreeMap;

use hbone::brand;
use serde_json::Value;

use crate::deploy::plan;
use crate::model::object::Map;

/// What a Gateway asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its namespace, where everything is made.
    pub namespace: String,
    /// Its name.
    pub gateway: String,
    /// Its UID: who owns what is made.
    pub uid: String,
    /// Its class.
    pub class: String,
    /// The name of what is made.
    pub name: String,
    /// The account of its pods.
    pub account: String,
    /// Labels of everything that is made, by the Gateway's wish.
    pub labels: Map,
    /// Annotations of everything that is made, by the Gateway's wish.
    pub annotations: Map,
    /// The ports of its listeners: name, number, protocol.
    pub ports: Vec<(String, u16, String)>,
    /// Least instances.
    pub replicas: usize,
    /// The type of its Service; empty for the default.
    pub service_type: String,
    /// The ConfigMap with overlays.
    pub parameters: Option<String>,
}

/// Why nothing can be made for a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// A name that no Service or no label value can have.
    #[error(
        "{what} is {found:?}, which is no name of a Service: write at most 63 of a-z, 0-9 and \
         '-', beginning with a letter"
    )]
    Name {
        /// Which name.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// Parameters of another kind.
    #[error("spec.infrastructure.parametersRef names {0}; write a ConfigMap of this namespace")]
    Parameters(String),
}

const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
const SERVICE_ACCOUNT: &str = "gateway.istio.io/service-account";
const SERVICE_TYPE: &str = "networking.istio.io/service-type";

/// Annotations that keep books of the Gateway itself.
const BOOKKEEPING: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "gateway.istio.io/controller-version",
    NAME_OVERRIDE,
    SERVICE_ACCOUNT,
];

impl Asked {
    /// Reads a Gateway of the API server; `None` for one that asks for nothing: it goes, or it
    /// names the host of a proxy that somebody else runs.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn read(gateway: &Value) -> Result<Option<Self>, AskedError> {
        let text = |path: &str| gateway.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let elsewhere = list(gateway, "/spec/addresses").any(|a| a["type"] == "Hostname");
        if !text("/metadata/deletionTimestamp").is_empty() || elsewhere {
            return Ok(None);
        }
        let own = map(gateway, "/metadata/annotations");
        let name = text("/metadata/name").to_owned();
        let given = |key: &str, or: &String| own.get(key).unwrap_or(or).clone();
        let made = given(NAME_OVERRIDE, &name);
        check("metadata.name", &name)?;
        check("annotation gateway.istio.io/name-override", &made)?;
        let (labels, annotations) = infrastructure(gateway, &own);
        Ok(Some(Self {
            namespace: text("/metadata/namespace").to_owned(),
            uid: text("/metadata/uid").to_owned(),
            class: text("/spec/gatewayClassName").to_owned(),
            account: given(SERVICE_ACCOUNT, &made),
            name: made,
            gateway: name,
            labels,
            annotations,
            ports: ports(gateway),
            replicas: replicas(&own),
            service_type: own.get(SERVICE_TYPE).cloned().unwrap_or_default(),
            parameters: parameters(gateway)?,
        }))
    }
}

/// What a label value and a Service's name may both be (RFC 1035).
fn check(what: &'static str, name: &str) -> Result<(), AskedError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= 63 && name.bytes().all(plain) && !name.ends_with('-') {
        return Ok(());
    }
    Err(AskedError::Name { what, found: name.chars().take(120).collect() })
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

fn map(value: &Value, path: &str) -> Map {
    let map = value.pointer(path).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// `spec.infrastructure`, or else what the Gateway itself bears.
fn infrastructure(gateway: &Value, own: &Map) -> (Map, Map) {
    let (mut labels, mut annotations) = match gateway.pointer("/spec/infrastructure") {
        Some(wish) if wish.get("labels").is_some() || wish.get("annotations").is_some() => {
            (map(wish, "/labels"), map(wish, "/annotations"))
        }
        _ => (map(gateway, "/metadata/labels"), own.clone()),
    };
    for map in [&mut labels, &mut annotations] {
        map.retain(|key, _| {
            let reserved = key.starts_with("gateway.networking.k8s.io/");
            // What says how the Gateway is run says nothing about what runs.
            let of_ours =
                key.starts_with(brand::GROUP) && key[brand::GROUP.len()..].starts_with('/');
            !reserved && !of_ours && !BOOKKEEPING.contains(&key.as_str())
        });
    }
    (labels, annotations)
}

/// The listeners' ports, each number and each name once.
fn ports(gateway: &Value) -> Vec<(String, u16, String)> {
    let mut ports: BTreeMap<u16, (String, String)> = BTreeMap::new();
    for listener in list(gateway, "/spec/listeners") {
        let number = listener["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let Some(number) = number.filter(|n| *n > 0 && *n != super::render::STATUS_PORT) else {
            continue;
        };
        let name = listener["name"].as_str().unwrap_or_default();
        let protocol = listener["protocol"].as_str().unwrap_or_default().to_ascii_lowercase();
        ports.entry(number).or_insert_with(|| (port_name(name, number), protocol));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut named = Vec::new();
    for (number, (name, protocol)) in ports {
        let name = if seen.insert(name.clone()) { name } else { format!("port-{number}") };
        named.push((name, number, protocol));
    }
    named
}

/// A name that a Service's port may have.
fn port_name(listener: &str, number: u16) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = listener.chars().map(plain).take(50).collect();
    let name = name.trim_matches('-');
    if name.is_empty() || name == "status-port" {
        format!("port-{number}")
    } else {
        name.to_owned()
    }
}

fn replicas(annotations: &Map) -> usize {
    let text = annotations.get(brand::WAYPOINT_REPLICAS);
    let count = text.and_then(|text| text.parse().ok());
    count.filter(|count| (1..=plan::MAX_REPLICAS).contains(count)).unwrap_or(plan::REPLICAS)
}

fn parameters(gateway: &Value) -> Result<Option<String>, AskedError> {
    let Some(found) = gateway.pointer("/spec/infrastructure/parametersRef") else {
        return Ok(None);
    };
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
    if !matches!(text("group"), "" | "core") || text("kind") != "ConfigMap" {
        let named = format!("{} {:?} of group {:?}", text("kind"), text("name"), text("group"));
        return Err(AskedError::Parameters(named));
    }
    Ok(Some(text("name").to_owned()))
}
