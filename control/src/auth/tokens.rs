//! Single-use join tokens: what a new machine presents first.
//!
//! A token is `<id>.<secret>`; the state directory holds a hash of the secret under the id.
//! Whoever removes that file has redeemed the token: exactly one caller can, also when two come
//! at once, also across a restart.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::TryRngCore;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::state::{StateDir, StateError, digest};

const FOLDER: &str = "join-tokens";

/// How long a join token can be redeemed.
pub const LIFE: Duration = Duration::from_hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    node: String,
    /// Of the secret, SHA-256.
    hash: String,
    /// Seconds since 1970.
    expires: u64,
}

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The state directory.
    #[error("join token")]
    State(#[from] StateError),
    /// No name of a machine.
    #[error("{0:?} is no name of a node: write a-z, 0-9, '-' and '.', at most 253 of them")]
    Node(String),
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system")]
    Random(#[source] rand::rand_core::OsError),
    /// Too many are waiting.
    #[error("MAX_JOIN_TOKENS ({max}) join tokens wait; remove some from {FOLDER}/", max = limits::MAX_JOIN_TOKENS)]
    TooMany,
}

/// Why a token buys nothing. The caller hears none of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// Not of the form that we give.
    #[error("not of the form of a join token")]
    Form,
    /// No such token, or redeemed already.
    #[error("unknown or already redeemed")]
    Unknown,
    /// The secret is another.
    #[error("wrong secret")]
    Secret,
    /// Made for another machine.
    #[error("made for node {0:?}")]
    OtherNode(String),
    /// Too late.
    #[error("expired")]
    Expired,
}

/// Makes a join token for a machine: valid for an hour, once.
///
/// # Errors
/// See [`CreateError`].
pub fn create(state_dir: &Path, node: &str) -> Result<String, CreateError> {
    create_at(&StateDir::open(state_dir)?, node, LIFE, SystemTime::now())
}

/// Makes a join token with a life of the caller's choice.
///
/// # Errors
/// See [`CreateError`].
pub fn create_at(
    state: &StateDir,
    node: &str,
    life: Duration,
    now: SystemTime,
) -> Result<String, CreateError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if node.is_empty() || node.len() > 253 || !node.bytes().all(plain) {
        return Err(CreateError::Node(node.chars().take(120).collect()));
    }
    let folder = state.folder(FOLDER)?;
    if remove_expired(&folder, now) >= limits::MAX_JOIN_TOKENS {
        return Err(CreateError::TooMany);
    }
    let mut random = [0; 40];
    rand::rngs::OsRng.try_fill_bytes(&mut random).map_err(CreateError::Random)?;
    let (id, secret) = random.split_at(8);
    let (id, secret) = (digest::encode(id), digest::encode(secret));
    let kept = Kept {
        node: node.to_owned(),
        hash: digest::hex(secret.as_bytes()),
        expires: seconds(now) + life.as_secs(),
    };
    let bytes = serde_json::to_vec(&kept).unwrap_or_default();
    state.create(&name(&id), &bytes, 0o600)?;
    Ok(format!("{id}.{secret}"))
}

/// Redeems a token for `node`. A wrong secret or node leaves the token as it is.
///
/// # Errors
/// See [`RedeemError`].
pub fn redeem(
    state: &StateDir,
    token: &str,
    node: &str,
    now: SystemTime,
) -> Result<(), RedeemError> {
    let (id, secret) = token.split_once('.').ok_or(RedeemError::Form)?;
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    // Nothing but hexadecimal digits reaches a path.
    if !hex(id, 16) || !hex(secret, 64) {
        return Err(RedeemError::Form);
    }
    let bytes = state.read(&name(id)).ok().flatten().ok_or(RedeemError::Unknown)?;
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| RedeemError::Unknown)?;
    let hash = digest::hex(secret.as_bytes());
    let same =
        aws_lc_rs::constant_time::verify_slices_are_equal(hash.as_bytes(), kept.hash.as_bytes());
    if same.is_err() {
        return Err(RedeemError::Secret);
    }
    if kept.node != node {
        return Err(RedeemError::OtherNode(kept.node));
    }
    if seconds(now) >= kept.expires {
        return Err(RedeemError::Expired);
    }
    match std::fs::remove_file(state.path(&name(id))) {
        Ok(()) => Ok(()),
        Err(_) => Err(RedeemError::Unknown),
    }
}

/// Removes what can no longer be redeemed; returns how many tokens are left.
fn remove_expired(folder: &Path, now: SystemTime) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut left = 0;
    for entry in entries.flatten() {
        let kept = std::fs::read(entry.path())
            .and_then(|b| serde_json::from_slice::<Kept>(&b).map_err(io::Error::other));
        let expired = kept.is_ok_and(|k| k.expires <= seconds(now));
        if !(expired && std::fs::remove_file(entry.path()).is_ok()) {
            left += 1;
        }
    }
    left
}

fn name(id: &str) -> String {
    format!("{FOLDER}/{id}.json")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map(|d| d.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
