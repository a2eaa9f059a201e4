//! A JSON Web Key Set (RFC 7517), cut down to the public keys that verify signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{MAX_KEY_SET, MAX_KEYS};

/// The keys of an issuer; at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// In the order of the set.
    pub keys: Vec<Key>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `kid`, or empty.
    pub id: String,
    /// The only algorithm that it is for; empty is any of its type.
    pub algorithm: String,
    /// The key itself.
    pub public: Public,
}

/// Numbers are big-endian, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Public {
    /// Of 2,048 to 8,192 bits.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// What was read, and what of it is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The keys.
    pub set: KeySet,
    /// What is wrong with others, or with more than is used of these.
    pub remarks: Vec<String>,
}

/// Why there is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too long.
    #[error("is longer than MAX_KEY_SET ({MAX_KEY_SET}) bytes")]
    TooLong,
    /// No JSON.
    #[error("is no JSON ({0}); write {{\"keys\": [...]}} (RFC 7517)")]
    Json(String),
    /// Another shape.
    #[error("has no list \"keys\"; write {{\"keys\": [...]}} (RFC 7517)")]
    NoList,
    /// Too many keys.
    #[error("has {0} keys, more than MAX_KEYS ({MAX_KEYS})")]
    TooMany(usize),
    /// None of use.
    #[error("has no key that verifies tokens{0}")]
    NoKey(String),
}

const RSA: [&str; 6] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
/// Of a remark on one key, characters.
const LONGEST_REMARK: usize = 160;
/// What aws-lc verifies with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

impl KeySet {
    /// Reads a key set. A key of no use is left out, with a remark.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub fn read(text: &[u8]) -> Result<Read, KeySetError> {
        if text.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLong);
        }
        let value: Value =
            serde_json::from_slice(text).map_err(|error| KeySetError::Json(error.to_string()))?;
        let list = value.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoList)?;
        if list.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(list.len()));
        }
        let (mut keys, mut remarks) = (Vec::new(), Vec::new());
        for (index, value) in list.iter().enumerate() {
            if value.get("d").is_some() || value.get("k").is_some() {
                remarks.push(format!("keys[{index}] has its secret part; replace the key"));
            }
            match key(value) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    // Parts of the set are in it, which somebody else wrote.
                    let short: String = why.chars().take(LONGEST_REMARK).collect();
                    remarks.push(format!("keys[{index}] is not used: {short}"));
                }
            }
        }
        if keys.is_empty() {
            let all = [vec![String::new()], remarks].concat().join("; ");
            return Err(KeySetError::NoKey(all));
        }
        Ok(Read { set: Self { keys }, remarks })
    }
}

/// The fields of a key that matter (RFC 7517 section 4, RFC 7518 section 6).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    kty: String,
    kid: String,
    alg: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

fn key(value: &Value) -> Result<Key, String> {
    let raw = Raw::deserialize(value).map_err(|error| error.to_string())?;
    if raw.r#use.as_ref().is_some_and(|of| of != "sig") {
        return Err("its use is not sig".to_owned());
    }
    if raw.key_ops.as_ref().is_some_and(|all| !all.iter().any(|one| one == "verify")) {
        return Err("its key_ops lack verify".to_owned());
    }
    let (public, algorithms): (Public, &[&str]) = match (raw.kty.as_str(), raw.crv.as_str()) {
        ("RSA", _) => (rsa(&raw)?, &RSA),
        ("EC", "P-256") => (Public::P256(point(&raw, 32)?), &["ES256"]),
        ("EC", "P-384") => (Public::P384(point(&raw, 48)?), &["ES384"]),
        ("OKP", "Ed25519") => (Public::Ed25519(ed25519(&raw)?), &["EdDSA", "Ed25519"]),
        ("oct", _) => {
            return Err("it is a shared secret, which anybody here could sign with".into());
        }
        (kty, "") => return Err(format!("its kty is {kty:?}")),
        (kty, crv) => return Err(format!("its kty is {kty:?} and its crv {crv:?}")),
    };
    if !raw.alg.is_empty() && !algorithms.contains(&raw.alg.as_str()) {
        return Err(format!("its alg {:?} is none of {}", raw.alg, algorithms.join(", ")));
    }
    Ok(Key { id: raw.kid, algorithm: raw.alg, public })
}

fn rsa(raw: &Raw) -> Result<Public, String> {
    let (modulus, exponent) = (number("n", &raw.n)?, number("e", &raw.e)?);
    let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(unused);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("it has {bits} bits, not {} to {}", RSA_BITS.start(), RSA_BITS.end()));
    }
    if exponent.is_empty() {
        return Err("its e is 0".to_owned());
    }
    Ok(Public::Rsa { modulus, exponent })
}

fn point(raw: &Raw, size: usize) -> Result<Vec<u8>, String> {
    let mut point = vec![4];
    for (name, text) in [("x", &raw.x), ("y", &raw.y)] {
        let number = number(name, text)?;
        let missing = size.checked_sub(number.len());
        let missing = missing.ok_or_else(|| format!("its {name} is longer than {size} bytes"))?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(number);
    }
    Ok(point)
}

fn ed25519(raw: &Raw) -> Result<Vec<u8>, String> {
    let key = bytes("x", &raw.x)?;
    if key.len() == 32 { Ok(key) } else { Err("its x has not 32 bytes".to_owned()) }
}

/// Without leading zeros.
fn number(name: &str, text: &str) -> Result<Vec<u8>, String> {
    Ok(bytes(name, text)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Some issuers pad, which RFC 7515 section 2 does not want.
fn bytes(name: &str, text: &str) -> Result<Vec<u8>, String> {
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    decoded.map_err(|_| format!("its {name} is no base64url"))
}

#[cfg(test)]
pub(crate) mod tests;
