//! Who may open a discovery stream. docs/wire.md, "Discovery".

use std::net::IpAddr;

use hbone::wire::pb::envoy::config::core::v3::Node;
use prost_types::value::Kind;
use tonic::Status;

use crate::auth::{Caller, Role};

/// A client that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The node id it gave, short.
    pub id: String,
    /// Whether it is a node proxy; else it is a waypoint.
    pub is_node_proxy: bool,
    /// The machine, for what is local to it.
    pub node: String,
    /// What it may hear of scoped types: the group of its identity, `namespace/account`.
    pub scope: String,
}

/// Why a client is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The first request names no node.
    #[error("the first request has no node id")]
    NoNode,
    /// The id's form.
    #[error("node id {0:?} is not type~IP~name~domain")]
    Form(String),
    /// A type that is not served.
    #[error("node type {0:?} is not served; ztunnel and waypoint are")]
    Type(String),
    /// No address.
    #[error("neither INSTANCE_IPS nor the node id has an IP address")]
    NoAddress,
    /// Another namespace than the credential's.
    #[error("the node's namespace {found:?} is not the credential's")]
    Namespace {
        /// What the node says.
        found: String,
    },
    /// Another service account than the credential's.
    #[error("the node's service account {found:?} is not the credential's")]
    Account {
        /// What the node says.
        found: String,
    },
    /// A pod's credential where a node's is needed, or the reverse.
    #[error("the credential is not one of a {0}")]
    Role(String),
    /// Another machine than the credential's.
    #[error("the node's NODE_NAME {found:?} is not the credential's")]
    Machine {
        /// What the node says.
        found: String,
    },
}

impl From<AdmissionError> for Status {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::NoNode
            | AdmissionError::Form(_)
            | AdmissionError::Type(_)
            | AdmissionError::NoAddress => Self::invalid_argument(error.to_string()),
            AdmissionError::Namespace { .. }
            | AdmissionError::Account { .. }
            | AdmissionError::Machine { .. }
            | AdmissionError::Role(_) => Self::permission_denied(error.to_string()),
        }
    }
}

/// Checks the node of a first request against the credential.
///
/// # Errors
/// See [`AdmissionError`].
pub fn admit(caller: &Caller, node: Option<&Node>) -> Result<Client, AdmissionError> {
    let node = node.filter(|n| !n.id.is_empty()).ok_or(AdmissionError::NoNode)?;
    let short = |text: &str| text.chars().take(200).collect::<String>();
    let mut parts = node.id.split('~');
    let parts: [Option<&str>; 5] = std::array::from_fn(|_| parts.next());
    let [Some(kind), Some(ip), Some(_), Some(domain), None] = parts else {
        return Err(AdmissionError::Form(short(&node.id)));
    };
    let by_role = match (kind, &caller.role) {
        ("ztunnel", Role::Node) | ("waypoint", Role::Pod { .. }) => true,
        ("ztunnel" | "waypoint", _) => false,
        _ => return Err(AdmissionError::Type(short(kind))),
    };
    if !by_role {
        return Err(AdmissionError::Role(kind.to_owned()));
    }
    let given = text(node, "INSTANCE_IPS").unwrap_or_default();
    if !given.split(',').chain([ip]).any(|ip| ip.trim().parse::<IpAddr>().is_ok()) {
        return Err(AdmissionError::NoAddress);
    }
    let namespace = text(node, "NAMESPACE").filter(|n| !n.is_empty());
    let namespace = namespace.unwrap_or(domain.split('.').next().unwrap_or_default());
    if namespace != caller.namespace {
        return Err(AdmissionError::Namespace { found: short(namespace) });
    }
    let account = text(node, "SERVICE_ACCOUNT").filter(|a| !a.is_empty());
    if let Some(found) = account.filter(|a| *a != caller.service_account) {
        return Err(AdmissionError::Account { found: short(found) });
    }
    let machine = text(node, "NODE_NAME").filter(|n| !n.is_empty());
    if let Some(found) = machine.filter(|n| *n != caller.node) {
        return Err(AdmissionError::Machine { found: short(found) });
    }
    let scope = format!("{}/{}", caller.namespace, caller.service_account);
    let is_node_proxy = kind == "ztunnel";
    Ok(Client { id: short(&node.id), is_node_proxy, node: caller.node.clone(), scope })
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match node.metadata.as_ref()?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
