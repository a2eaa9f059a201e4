//! Hashes, as hexadecimal text.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of `bytes`, 64 hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    encode(digest(&SHA256, bytes).as_ref())
}

/// The first 64 bits of SHA-256: enough to tell two states of one resource apart.
pub fn short(bytes: &[u8]) -> String {
    let mut text = hex(bytes);
    text.truncate(16);
    text
}

/// A UID for what has none of its own: the same for the same text.
pub fn uid(text: &str) -> String {
    let hex = hex(text.as_bytes());
    let part = |a: usize, b: usize| hex.get(a..b).unwrap_or_default();
    // Version 8 of RFC 9562: bits of our own making.
    format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Bytes as hexadecimal text.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = |b: &u8| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]];
    bytes.iter().flat_map(digits).collect()
}
