//! Certificates as `/config_dump` shows them; private keys never appear.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hbone::identity::SpiffeId;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::pem::Pem;

use super::keeper::{Keeper, State};

/// One identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateDump {
    /// The SPIFFE URI.
    pub identity: String,
    /// `Initializing`, `Available`, or `Unavailable: <reason>`.
    pub state: String,
    /// Leaf and intermediates.
    pub cert_chain: Vec<CertificateItem>,
    /// The roots that peers are verified against.
    pub root_certs: Vec<CertificateItem>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateItem {
    /// Base64 of the PEM.
    pub pem: String,
    /// Decimal.
    pub serial_number: String,
    /// RFC 3339, seconds.
    pub valid_from: String,
    /// RFC 3339, seconds.
    pub expiration_time: String,
}

pub(super) fn of(id: &SpiffeId, keeper: &Keeper) -> CertificateDump {
    let state = match keeper.state() {
        State::Initializing => "Initializing".to_owned(),
        State::Available => "Available".to_owned(),
        State::Unavailable(reason) => format!("Unavailable: {reason}"),
    };
    let held = keeper.held();
    let chain = held.as_ref().map(|held| held.chain_pem().concat()).unwrap_or_default();
    let roots = held.as_ref().map(|held| held.roots_pem().to_owned()).unwrap_or_default();
    CertificateDump {
        identity: id.to_string(),
        state,
        cert_chain: items(&chain),
        root_certs: items(&roots),
    }
}

/// What cannot be parsed is left out; TLS skips it too.
fn items(pem: &str) -> Vec<CertificateItem> {
    Pem::iter_from_buffer(pem.as_bytes()).filter_map(|block| item(&block.ok()?)).collect()
}

fn item(block: &Pem) -> Option<CertificateItem> {
    let certificate = block.parse_x509().ok()?;
    let validity = certificate.validity();
    Some(CertificateItem {
        pem: BASE64_STANDARD.encode(armour(&block.contents)),
        serial_number: certificate.serial.to_string(),
        valid_from: rfc3339(validity.not_before.timestamp())?,
        expiration_time: rfc3339(validity.not_after.timestamp())?,
    })
}

fn armour(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn rfc3339(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}
