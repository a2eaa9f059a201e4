//! The kinds that describe what runs outside the cluster.
//!
//! One that cannot be understood is refused as a whole, so that its last good version stays in
//! force: half of it would send traffic elsewhere than its author meant.

mod endpoint;
mod ports;

use std::collections::BTreeSet;
use std::net::IpAddr;

use hbone::identity::SpiffeId;
use serde_json::Value;

use super::{Context, Note, ReadError, decode_quietly, raw_meta};
use crate::api::networking::{ServiceEntrySpec, ServiceEntryStatus, WorkloadEntrySpec};
use crate::limits::{MAX_ENTRY_ENDPOINTS, MAX_ENTRY_ITEMS};
use crate::model::entry::{
    Endpoint, Given, Place, Resolution, ServiceEntry, Visibility, WorkloadEntry, is_wildcard,
};
use crate::model::object::{Kind, Map, Object, ip_block};
use crate::model::vips;

type Result<T> = std::result::Result<T, ReadError>;

pub(super) fn service_entry(
    value: &Value,
    context: &Context,
    notes: &mut Vec<Note>,
) -> Result<Object> {
    let meta = raw_meta(value, Kind::ServiceEntry, notes)?;
    let spec: ServiceEntrySpec = spec(value)?;
    let hosts = hosts(&spec.hosts)?;
    let resolution = resolution(spec.resolution.as_deref())?;
    location(spec.location.as_deref())?;
    let ports = ports::read(&spec.ports, notes)?;
    let endpoints = endpoints(&spec, resolution)?;
    let selector = selector(&spec)?;
    consistent(&hosts, resolution, &endpoints, selector.as_ref())?;
    ports::known(&endpoints, &spec.ports)?;
    Ok(Object::ServiceEntry(Box::new(ServiceEntry {
        addresses: addresses(&spec.addresses)?,
        visibility: visibility(&spec.export_to, &meta.key.namespace, notes),
        subject_alt_names: identities(spec.subject_alt_names, notes),
        given: if context.has_status { given(value) } else { Given::new() },
        hosts,
        resolution,
        ports,
        endpoints,
        selector,
        meta,
    })))
}

pub(super) fn workload_entry(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let mut meta = raw_meta(value, Kind::WorkloadEntry, notes)?;
    let spec: WorkloadEntrySpec = spec(value)?;
    let endpoint = endpoint::read(spec, "spec")?;
    // Both places are in use; what the spec says is what describes the instance.
    meta.labels.extend(endpoint.labels.clone());
    Ok(Object::WorkloadEntry(Box::new(WorkloadEntry { meta, endpoint })))
}

/// The spec, without any field that is not known: it may have narrowed the object.
fn spec<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    let empty = Value::Object(serde_json::Map::new());
    let (spec, unknown) = decode_quietly(value.get("spec").unwrap_or(&empty), "spec")?;
    match unknown.into_iter().next() {
        None => Ok(spec),
        Some(field) => {
            Err(ReadError::field(indexed(&field), "is no field of this kind; remove it"))
        }
    }
}

/// A path with its positions as people write them: `endpoints[0].address`.
fn indexed(path: &str) -> String {
    let mut text = String::with_capacity(path.len() + 2);
    for part in path.split('.') {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            text.extend(["[", part, "]"]);
        } else {
            text.extend([if text.is_empty() { "" } else { "." }, part]);
        }
    }
    text
}

fn few(field: &str, found: usize, most: usize) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(ReadError::field(field, format!("has {found} items; write at most {most}")))
}

fn hosts(raw: &[String]) -> Result<Vec<String>> {
    if raw.is_empty() {
        return Err(ReadError::field("spec.hosts", "names no host; write at least one"));
    }
    few("spec.hosts", raw.len(), MAX_ENTRY_ITEMS)?;
    let mut seen = BTreeSet::new();
    let mut hosts = Vec::with_capacity(raw.len());
    for (i, text) in raw.iter().enumerate() {
        let host = text.to_ascii_lowercase();
        let field = format!("spec.hosts[{i}]");
        if host.parse::<IpAddr>().is_ok() {
            let right = "write it in spec.addresses, and a name here";
            return Err(ReadError::field(field, format!("is {text:?}, an address; {right}")));
        }
        if !is_host(host.strip_prefix("*.").unwrap_or(&host)) {
            let right = "write a name such as api.example.com or *.example.com";
            return Err(ReadError::field(field, format!("is {:?}; {right}", shorten(text))));
        }
        if !seen.insert(host.clone()) {
            return Err(ReadError::field(field, format!("is {text:?} again; write it once")));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// Whether a text in lower case is a DNS name: RFC 1123 section 2.1, and underscores, which
/// are in use.
fn is_host(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let label = |l: &str| {
        let edges = l.starts_with('-') || l.ends_with('-');
        (1..=63).contains(&l.len()) && l.bytes().all(plain) && !edges
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

fn addresses(raw: &[String]) -> Result<Vec<ipnet::IpNet>> {
    few("spec.addresses", raw.len(), MAX_ENTRY_ITEMS)?;
    let mut all = Vec::with_capacity(raw.len());
    for (i, text) in raw.iter().enumerate() {
        let block = ip_block(text).ok_or_else(|| {
            let right = "write an address or a block such as 192.0.2.0/24";
            ReadError::field(
                format!("spec.addresses[{i}]"),
                format!("is {:?}; {right}", shorten(text)),
            )
        })?;
        let block = block.trunc();
        if !all.contains(&block) {
            all.push(block);
        }
    }
    Ok(all)
}

fn resolution(text: Option<&str>) -> Result<Resolution> {
    Ok(match text {
        None | Some("NONE") => Resolution::None,
        Some("STATIC") => Resolution::Static,
        Some("DNS" | "DNS_ROUND_ROBIN") => Resolution::Dns,
        Some("DYNAMIC_DNS") => Resolution::DynamicDns,
        Some(found) => {
            let right = "write NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS";
            return Err(ReadError::field("spec.resolution", format!("is {found:?}; {right}")));
        }
    })
}

fn location(text: Option<&str>) -> Result<()> {
    match text {
        None | Some("MESH_EXTERNAL" | "MESH_INTERNAL") => Ok(()),
        Some(found) => {
            let message = format!("is {found:?}; write MESH_EXTERNAL or MESH_INTERNAL");
            Err(ReadError::field("spec.location", message))
        }
    }
}

fn endpoints(spec: &ServiceEntrySpec, resolution: Resolution) -> Result<Vec<Endpoint>> {
    few("spec.endpoints", spec.endpoints.len(), MAX_ENTRY_ENDPOINTS)?;
    let mut seen = BTreeSet::new();
    let mut all = Vec::with_capacity(spec.endpoints.len());
    for (i, raw) in spec.endpoints.iter().enumerate() {
        let endpoint = endpoint::read(raw.clone(), &format!("spec.endpoints[{i}]"))?;
        let field = format!("spec.endpoints[{i}].address");
        let found = &endpoint.place;
        if matches!(found, Place::Host(_)) && resolution == Resolution::Static {
            let right = "with resolution STATIC write an address, or write resolution DNS";
            return Err(ReadError::field(field, format!("is {:?}; {right}", found.to_string())));
        }
        if !seen.insert(found.to_string()) {
            let right = "write each address once";
            return Err(ReadError::field(
                field,
                format!("is {:?} again; {right}", found.to_string()),
            ));
        }
        all.push(endpoint);
    }
    Ok(all)
}

fn selector(spec: &ServiceEntrySpec) -> Result<Option<Map>> {
    let Some(selector) = &spec.workload_selector else { return Ok(None) };
    if selector.labels.is_empty() {
        let message = "names no label, so it selects nothing; write some, or leave it out";
        return Err(ReadError::field("spec.workloadSelector.labels", message));
    }
    if !spec.endpoints.is_empty() {
        let message = "stands beside spec.endpoints; keep one of them";
        return Err(ReadError::field("spec.workloadSelector", message));
    }
    Ok(Some(selector.labels.clone()))
}

/// Whether the resolution fits what it is to resolve.
fn consistent(
    hosts: &[String],
    resolution: Resolution,
    endpoints: &[Endpoint],
    selector: Option<&Map>,
) -> Result<()> {
    let wrong = |message: &str| Err(ReadError::field("spec.resolution", message));
    let nobody = endpoints.is_empty() && selector.is_none();
    match resolution {
        Resolution::None if !endpoints.is_empty() => wrong(
            "is NONE, by which endpoints are what is dialled; write STATIC or DNS, or no endpoints",
        ),
        Resolution::Static if nobody => wrong(
            "is STATIC, and there are no endpoints; write spec.endpoints or spec.workloadSelector",
        ),
        Resolution::DynamicDns if !nobody => wrong(
            "is DYNAMIC_DNS, by which the name of a request is its endpoint; leave endpoints out",
        ),
        Resolution::Dns if nobody && hosts.iter().any(|host| is_wildcard(host)) => wrong(
            "is DNS, which has no address of a wildcard; write DYNAMIC_DNS, or spec.endpoints",
        ),
        Resolution::None | Resolution::Static | Resolution::Dns | Resolution::DynamicDns => Ok(()),
    }
}

/// What cannot be enforced as written is seen by fewer, never by more.
fn visibility(export_to: &[String], own: &str, notes: &mut Vec<Note>) -> Visibility {
    let has = |text: &str| export_to.iter().any(|e| e == text);
    if export_to.is_empty() || has("*") {
        return Visibility::Public;
    }
    if let Some(other) = export_to.iter().find(|e| ![".", "~", own].contains(&e.as_str())) {
        let message = format!(
            "names {:?}; only \".\", \"*\" and \"~\" can be enforced, so it is seen in its own \
             namespace alone",
            shorten(other)
        );
        notes.push(Note::new("spec.exportTo", message));
        return Visibility::Namespace;
    }
    if has(".") || has(own) { Visibility::Namespace } else { Visibility::Nobody }
}

fn identities(raw: Vec<String>, notes: &mut Vec<Note>) -> Vec<String> {
    let mut all = Vec::with_capacity(raw.len());
    for (i, name) in raw.into_iter().enumerate() {
        if name.parse::<SpiffeId>().is_ok() {
            all.push(name);
        } else {
            let message = "is no SPIFFE identity, as which alone an endpoint is known; it is \
                           ignored: write spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT";
            notes.push(Note::new(format!("spec.subjectAltNames[{i}]"), message));
        }
    }
    all
}

/// What hosts were given before. What cannot be read, or is none of the addresses that are
/// given, counts as absent: it is given anew.
fn given(value: &Value) -> Given {
    let status = value.get("status").cloned().unwrap_or_default();
    let status: ServiceEntryStatus = serde_json::from_value(status).unwrap_or_default();
    let mut given = Given::new();
    for address in status.addresses.into_iter().take(2 * MAX_ENTRY_ITEMS) {
        if let Ok(ip) = address.value.parse()
            && vips::is_ours(&ip)
        {
            given.entry(address.host).or_default().push(ip);
        }
    }
    given
}

#[cfg(test)]
mod tests;
