//! An instance: of a ServiceEntry, or a WorkloadEntry of its own.

use std::collections::BTreeMap;

use super::{Result, is_host, shorten};
use crate::api::networking::WorkloadEntrySpec;
use crate::model::entry::{Endpoint, Place};
use crate::source::read::ReadError;

/// Reads an instance that stands at `field`.
pub(super) fn read(raw: WorkloadEntrySpec, field: &str) -> Result<Endpoint> {
    Ok(Endpoint {
        place: place(&raw.address, &format!("{field}.address"))?,
        ports: ports(&raw.ports, &format!("{field}.ports"))?,
        locality: locality(&raw.locality, &format!("{field}.locality"))?,
        service_account: account(raw.service_account, &format!("{field}.serviceAccount"))?,
        labels: raw.labels,
        network: raw.network,
        weight: raw.weight,
    })
}

fn place(text: &str, field: &str) -> Result<Place> {
    let right = "write an address such as 192.0.2.7 or a name such as db.example.com";
    if text.is_empty() {
        return Err(ReadError::field(field, format!("is missing; {right}")));
    }
    if let Ok(ip) = text.parse() {
        return Ok(Place::Ip(ip));
    }
    let host = text.to_ascii_lowercase();
    if is_host(&host) {
        return Ok(Place::Host(host));
    }
    Err(ReadError::field(field, format!("is {:?}; {right}", shorten(text))))
}

fn ports(raw: &BTreeMap<String, u64>, field: &str) -> Result<BTreeMap<String, u16>> {
    let read = |(name, number): (&String, &u64)| match u16::try_from(*number) {
        Ok(port) if port > 0 => Ok((name.clone(), port)),
        _ => {
            let message = format!("is {number}; write 1 to 65535");
            Err(ReadError::field(format!("{field}.{name}"), message))
        }
    };
    raw.iter().map(read).collect()
}

/// `region/zone/subzone`, or the first parts of it.
fn locality(text: &str, field: &str) -> Result<[String; 3]> {
    let mut parts = text.split('/').map(str::to_owned);
    let locality = std::array::from_fn(|_| parts.next().unwrap_or_default());
    if parts.next().is_some() {
        let message = format!("is {:?}; write region/zone/subzone", shorten(text));
        return Err(ReadError::field(field, message));
    }
    Ok(locality)
}

/// An account that is no name would make an identity that nobody can verify.
fn account(text: String, field: &str) -> Result<String> {
    if text.is_empty() || (is_host(&text) && !text.contains('_')) {
        return Ok(text);
    }
    let message = format!("is {:?}; write the name of a ServiceAccount", shorten(&text));
    Err(ReadError::field(field, message))
}
