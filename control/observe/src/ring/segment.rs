//! One file of a ring: frames, each with its time and a checksum.
//!
//! ```text
//! "ambit-ring-1\n" { length: u32 LE, CRC-32 of what follows: u32 LE, at: i64 LE, kind: u8, message }
//! ```
//!
//! A file may be read while it is written: its last frame may then be a part, and is left out.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use prost::Message;

use super::raw::{self, Part};
use crate::pb::EdgeKey;
use crate::pb::ring::{Frame, Named};

/// What every file begins with.
const MAGIC: &[u8] = b"ambit-ring-1\n";
/// Length and checksum.
const PREFIX: usize = 8;
/// Time and kind, under the checksum.
const HEAD: usize = 9;
/// Largest frame, in bytes; what says that it is larger is damaged.
const MAX_FRAME: usize = 16 << 20;

/// Names keys for the frames that follow.
const KEYS: u8 = 1;
/// What happened.
const STEP: u8 = 2;

/// Writes frames to the end of a file.
#[derive(Debug)]
pub(super) struct Writer<W> {
    to: W,
    names: HashMap<Arc<EdgeKey>, u32>,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an empty file.
    ///
    /// # Errors
    /// As the file.
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to, names: HashMap::new(), written: MAGIC.len() as u64 })
    }

    /// The name of a key in this file, and whether it is new here.
    pub(super) fn name(&mut self, key: &Arc<EdgeKey>) -> (u32, bool) {
        if let Some(id) = self.names.get(key) {
            return (*id, false);
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.insert(Arc::clone(key), id);
        (id, true)
    }

    /// Appends a frame, with the keys that it is the first to use.
    ///
    /// # Errors
    /// As the file; a part may have been written then, and the file should not be used again.
    pub(super) fn append(&mut self, at_ms: i64, mut frame: Frame) -> io::Result<()> {
        let keys = Frame { keys: std::mem::take(&mut frame.keys), ..Frame::default() };
        let mut bytes = Vec::new();
        if !keys.keys.is_empty() {
            encode(&mut bytes, at_ms, KEYS, &keys);
        }
        encode(&mut bytes, at_ms, STEP, &frame);
        self.to.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

fn encode(to: &mut Vec<u8>, at_ms: i64, kind: u8, frame: &Frame) {
    let mut body = at_ms.to_le_bytes().to_vec();
    body.push(kind);
    body.extend(frame.encode_to_vec());
    to.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend(crc32fast::hash(&body).to_le_bytes());
    to.extend(body);
}

/// A step that was read.
#[derive(Debug)]
pub struct Step<'a> {
    /// When it began, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which file it is in: names of keys are those of one file.
    pub file: usize,
    /// The keys of the file, by name.
    pub keys: &'a HashMap<u32, Arc<EdgeKey>>,
    message: &'a [u8],
}

impl<'a> Step<'a> {
    /// What happened; names of keys are in `keys`.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        raw::parts(self.message)
    }
}

/// Reads the steps of a file that begin from `from_ms` on and before `to_ms`. Returns `false` if
/// the file is damaged: what is before the damage was read.
pub(super) fn read(
    (file, bytes): (usize, &[u8]),
    (from_ms, to_ms): (i64, i64),
    visit: &mut dyn FnMut(Step<'_>),
) -> bool {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return false };
    let mut keys = HashMap::new();
    loop {
        let body = match next(&mut rest) {
            Next::Body(body) => body,
            Next::End => return true,
            Next::Damaged => return false,
        };
        let Some((at, kind, message)) = split(body) else { return false };
        if kind == STEP && !(from_ms..to_ms).contains(&at) {
            continue;
        }
        match kind {
            KEYS => {
                let Ok(frame) = Frame::decode(message) else { return false };
                let named = |named: Named| Some((named.id, Arc::new(named.key?)));
                keys.extend(frame.keys.into_iter().filter_map(named));
            }
            STEP => visit(Step { at_ms: at, file, keys: &keys, message }),
            // Of a later version.
            _ => {}
        }
    }
}

enum Next<'a> {
    Body(&'a [u8]),
    End,
    Damaged,
}

/// The next frame's body; a frame that is not there as a whole is the end.
fn next<'a>(rest: &mut &'a [u8]) -> Next<'a> {
    let Some((prefix, after)) = rest.split_at_checked(PREFIX) else { return Next::End };
    let number = |at: std::ops::Range<usize>| {
        prefix.get(at).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
    };
    let (length, checksum) = (number(0..4) as usize, number(4..8));
    if !(HEAD..=MAX_FRAME).contains(&length) {
        return Next::Damaged;
    }
    let Some((body, after)) = after.split_at_checked(length) else { return Next::End };
    if crc32fast::hash(body) != checksum {
        return Next::Damaged;
    }
    *rest = after;
    Next::Body(body)
}

fn split(body: &[u8]) -> Option<(i64, u8, &[u8])> {
    let (at, rest) = body.split_first_chunk()?;
    let (kind, message) = rest.split_first()?;
    Some((i64::from_le_bytes(*at), *kind, message))
}
