//! A pod as the node agent sees it: facts from the API server or `control`, checked once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hbone::brand;
use hbone::wire::pb::ambit::node::v1 as pb;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use serde::{Deserialize, Serialize};

/// Most addresses of one pod: Kubernetes gives one of each family.
const MAX_IPS: usize = 2;

/// Longest UID that fits a message to the proxy beside the other fields (a Kubernetes UID
/// has 36 bytes).
const MAX_UID: usize = 128;

/// The UID of a pod: a name that is never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Uid(Arc<str>);

/// One pod of this node.
#[allow(clippy::struct_excessive_bools)] // As many as there are facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its UID.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
    /// The service account; never empty.
    pub service_account: String,
    /// Its addresses; none before the network is set up.
    pub ips: Vec<IpAddr>,
    /// The labels of pod and namespace say that it takes part.
    pub labelled: bool,
    /// It has ended (Succeeded or Failed).
    pub terminated: bool,
    /// It uses the network namespace of the node.
    pub host_network: bool,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The Gateway for which this pod is a waypoint that the node has to run.
    pub waypoint: Option<String>,
    /// No container runtime makes its network namespace: the node does.
    #[serde(default)]
    pub sandbox: bool,
}

/// Why a pod of the stream is not taken; the others are.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The UID is missing, too long or no name.
    #[error("pod {namespace}/{name}: uid is {found:?}; write 1 to 128 of a-z, 0-9, '-' and '_'")]
    Uid {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What was found.
        found: String,
    },
    /// No name that a Kubernetes object can have.
    #[error("pod {uid}: {field} is {found:?}; write 1 to 253 bytes of a-z, 0-9, '-' and '.'")]
    Name {
        /// Its UID.
        uid: Uid,
        /// Which field.
        field: &'static str,
        /// What was found.
        found: String,
    },
    /// More addresses than a pod has, or something that is none.
    #[error("pod {uid}: ips is {found:?}; write at most two IP addresses")]
    Ips {
        /// Its UID.
        uid: Uid,
        /// What was found.
        found: Vec<String>,
    },
}

impl Uid {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Uid {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.0.as_ref().to_owned()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pod {
    /// Its name with the namespace, as people write it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether an annotation says yes, in one of the words that [`boolean`] takes.
    pub fn annotated_true(&self, key: &str) -> bool {
        self.annotations.get(key).and_then(|value| boolean(value)) == Some(true)
    }
}

/// Yes or no as annotations write it (docs/wire.md, "Objects"); `None` for any other text.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl TryFrom<&ApiPod> for Pod {
    type Error = PodError;

    /// From an object of the API server; whether it is `labelled` is for the caller to say.
    fn try_from(object: &ApiPod) -> Result<Self, PodError> {
        let meta = &object.metadata;
        let spec = object.spec.as_ref();
        let status = object.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let ips = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
        // The same checks as for a pod of the stream.
        Self::try_from(pb::Pod {
            uid: meta.uid.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            service_account: spec
                .and_then(|spec| spec.service_account_name.clone())
                .unwrap_or_default(),
            ips: ips.map(|ip| ip.ip.clone()).collect(),
            enrol: false,
            terminated: matches!(phase, Some("Succeeded" | "Failed")),
            host_network: spec.and_then(|spec| spec.host_network) == Some(true),
            annotations: meta.annotations.iter().flatten().filter_map(of_use).collect(),
            waypoint: None,
        })
    }
}

impl TryFrom<pb::Pod> for Pod {
    type Error = PodError;

    fn try_from(wire: pb::Pod) -> Result<Self, PodError> {
        // It becomes the name of a file.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !(1..=MAX_UID).contains(&wire.uid.len()) || !wire.uid.bytes().all(plain) {
            let found = wire.uid.chars().take(MAX_UID).collect();
            return Err(PodError::Uid { namespace: wire.namespace, name: wire.name, found });
        }
        let uid = Uid::from(wire.uid.as_str());
        let account = match wire.service_account {
            empty if empty.is_empty() => "default".to_owned(),
            account => account,
        };
        Ok(Self {
            namespace: name(&uid, "namespace", wire.namespace)?,
            name: name(&uid, "name", wire.name)?,
            service_account: name(&uid, "service_account", account)?,
            ips: addresses(&uid, wire.ips)?,
            labelled: wire.enrol,
            terminated: wire.terminated,
            host_network: wire.host_network,
            annotations: wire.annotations,
            sandbox: wire.waypoint.as_ref().is_some_and(|spec| spec.sandbox),
            waypoint: wire.waypoint.map(|spec| spec.gateway),
            uid,
        })
    }
}

/// The groups whose annotations a node has a use for; others may be long.
const GROUPS: [&str; 4] = ["ambient.istio.io", "istio.io", "sidecar.istio.io", brand::GROUP];

fn of_use((key, value): (&String, &String)) -> Option<(String, String)> {
    let (group, _) = key.split_once('/')?;
    GROUPS.contains(&group).then(|| (key.clone(), value.clone()))
}

/// A name as Kubernetes objects have (RFC 1123 subdomain).
fn name(uid: &Uid, field: &'static str, found: String) -> Result<String, PodError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    if (1..=253).contains(&found.len()) && found.bytes().all(plain) {
        Ok(found)
    } else {
        let found = found.chars().take(120).collect();
        Err(PodError::Name { uid: uid.clone(), field, found })
    }
}

fn addresses(uid: &Uid, found: Vec<String>) -> Result<Vec<IpAddr>, PodError> {
    let parsed: Result<Vec<IpAddr>, _> = found.iter().map(|text| text.parse()).collect();
    match parsed {
        Ok(ips) if ips.len() <= MAX_IPS => Ok(ips),
        _ => Err(PodError::Ips { uid: uid.clone(), found: found.into_iter().take(4).collect() }),
    }
}

#[cfg(test)]
mod tests;
