//! Ports of a ServiceEntry.

use std::collections::BTreeSet;

use super::{Result, few, shorten};
use crate::api::networking::ServicePortSpec;
use crate::limits::MAX_ENTRY_ITEMS;
use crate::model::entry::{Endpoint, EntryPort, Protocol};
use crate::source::read::{Note, ReadError};

/// Reads ports; UDP is left alone.
pub(super) fn read(raw: &[ServicePortSpec], notes: &mut Vec<Note>) -> Result<Vec<EntryPort>> {
    if raw.is_empty() {
        return Err(ReadError::field("spec.ports", "names no port; write at least one"));
    }
    few("spec.ports", raw.len(), MAX_ENTRY_ITEMS)?;
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let mut ports = Vec::with_capacity(raw.len());
    for (i, port) in raw.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{i}].{field}");
        let number = number(&at("number"), port.number)?;
        let target = port.target_port.map(|n| self::number(&at("targetPort"), n)).transpose()?;
        if port.name.is_empty() {
            return Err(ReadError::field(at("name"), "is missing; write one, such as https"));
        }
        if !names.insert(port.name.as_str()) {
            let found = shorten(&port.name);
            return Err(ReadError::field(at("name"), format!("is {found:?} again; write another")));
        }
        if !numbers.insert(number) {
            return Err(ReadError::field(
                at("number"),
                format!("is {number} again; write it once"),
            ));
        }
        match protocol(&at("protocol"), &port.protocol)? {
            Some(protocol) => ports.push(EntryPort {
                number,
                name: port.name.clone(),
                protocol,
                target: target.unwrap_or(number),
            }),
            None => {
                let message = "is UDP, not TCP; the mesh leaves this port alone";
                notes.push(Note::new(at("protocol"), message));
            }
        }
    }
    Ok(ports)
}

fn number(field: &str, number: u64) -> Result<u16> {
    let checked = u16::try_from(number).ok().filter(|n| *n > 0);
    checked.ok_or_else(|| ReadError::field(field, format!("is {number}; write 1 to 65535")))
}

/// What is spoken; none for UDP.
fn protocol(field: &str, text: &str) -> Result<Option<Protocol>> {
    Ok(Some(match text.to_ascii_uppercase().as_str() {
        "" => Protocol::Unknown,
        "HTTP" | "GRPC-WEB" => Protocol::Http,
        "HTTP2" => Protocol::Http2,
        "GRPC" => Protocol::Grpc,
        "TCP" | "MONGO" | "MYSQL" | "REDIS" => Protocol::Tcp,
        "TLS" | "HTTPS" => Protocol::Tls,
        "UDP" => return Ok(None),
        _ => {
            let right = "write HTTP, HTTP2, GRPC, GRPC-Web, HTTPS, TLS, TCP, MONGO, MYSQL or REDIS";
            let message = format!("is {:?}; {right}", shorten(text));
            return Err(ReadError::field(field, message));
        }
    }))
}

/// Whether endpoints name only ports that there are.
pub(super) fn known(endpoints: &[Endpoint], ports: &[ServicePortSpec]) -> Result<()> {
    for (i, endpoint) in endpoints.iter().enumerate() {
        let unknown = endpoint.ports.keys().find(|name| !ports.iter().any(|p| p.name == **name));
        if let Some(name) = unknown {
            let message = format!("has {:?}, which is no name in spec.ports", shorten(name));
            return Err(ReadError::field(format!("spec.endpoints[{i}].ports"), message));
        }
    }
    Ok(())
}
