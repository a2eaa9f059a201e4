//! One direction of a TCP connection, put together from its segments.

use std::net::SocketAddr;

use super::packet::{Packet, Transport};

/// Flag bits of RFC 9293 section 3.1.
const SYN: u8 = 2;
/// A TLS record's longest body: RFC 8446 section 5.2.
const LONGEST_RECORD: usize = (1 << 14) + 256;
/// A TLS record's header.
const HEADER: usize = 5;

/// A sequence number and the bytes from there.
type Segment<'a> = (u32, &'a [u8]);

/// One direction of a TCP connection.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Who speaks.
    pub from: SocketAddr,
    /// Who hears.
    pub to: SocketAddr,
    /// Whether the capture saw it begin.
    pub from_start: bool,
    /// What was said; a new part begins where bytes are missing.
    parts: Vec<Vec<u8>>,
}

impl Flow {
    /// The flows between two ends: a port may be used again, each SYN begins a new one.
    pub(super) fn assemble((from, to): (SocketAddr, SocketAddr), packets: &[&Packet]) -> Vec<Self> {
        let mut lives: Vec<(Option<u32>, Vec<Segment<'_>>)> = Vec::new();
        for packet in packets {
            let Transport::Tcp { seq, flags } = packet.transport else { continue };
            if flags & SYN != 0 {
                // A SYN sent again has the same number and begins nothing.
                if lives.last().is_none_or(|(start, _)| *start != Some(seq)) {
                    lives.push((Some(seq), Vec::new()));
                }
                continue;
            }
            if lives.is_empty() {
                lives.push((None, Vec::new()));
            }
            if let (Some((_, segments)), false) = (lives.last_mut(), packet.payload().is_empty()) {
                segments.push((seq, packet.payload()));
            }
        }
        let flow = |(syn, segments): (Option<u32>, Vec<Segment<'_>>)| {
            let start = syn.map(|seq| seq.wrapping_add(1));
            let (whole, parts) = join(start, segments);
            Self { from, to, from_start: start.is_some() && whole, parts }
        };
        lives.into_iter().map(flow).collect()
    }

    /// What was said, without gaps in each part.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(Vec::as_slice)
    }

    /// Sentences about what is no TLS.
    pub(super) fn not_tls(&self) -> Option<String> {
        for (number, part) in self.parts().enumerate() {
            let aligned = number == 0 && self.from_start;
            let good = if aligned {
                is_handshake(part) && is_records(part)
            } else {
                // Somewhere in the first record's length the next one begins.
                let last = part.len().saturating_sub(HEADER).min(LONGEST_RECORD + HEADER);
                part.len() >= HEADER && (0..=last).any(|skip| is_records(&part[skip..]))
            };
            if !good {
                let start = part.get(..part.len().min(48)).unwrap_or_default();
                let (from, to) = (self.from, self.to);
                return Some(format!("{from} > {to} is not TLS: {}", start.escape_ascii()));
            }
        }
        None
    }
}

/// Orders segments, drops what is there twice, splits at gaps; also whether the first byte is
/// the one at `start`.
fn join(start: Option<u32>, mut segments: Vec<Segment<'_>>) -> (bool, Vec<Vec<u8>>) {
    let Some(base) = start.or_else(|| segments.first().map(|(seq, _)| *seq)) else {
        return (true, Vec::new());
    };
    // Numbers wrap at 4 GiB: the distance from the first byte, signed, orders 2 GiB each way,
    // and a longer flow is followed by counting on from what was joined before.
    let mut at = 0i64;
    let mut placed: Vec<(i64, &[u8])> = Vec::with_capacity(segments.len());
    for (seq, bytes) in segments.drain(..) {
        let near = seq.wrapping_sub(base.wrapping_add(at as u32)).cast_signed();
        let offset = at + i64::from(near);
        at = at.max(offset);
        placed.push((offset, bytes));
    }
    placed.sort_by_key(|(offset, _)| *offset);
    let whole = placed.first().is_none_or(|(offset, _)| *offset <= 0);
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut end = placed.first().map_or(0, |(offset, _)| *offset);
    for (offset, bytes) in placed {
        if offset > end || parts.is_empty() {
            parts.push(Vec::new());
            end = offset;
        }
        let known = usize::try_from(end - offset).unwrap_or(0);
        if let (Some(fresh), Some(part)) = (bytes.get(known..), parts.last_mut()) {
            part.extend_from_slice(fresh);
            end = offset.saturating_add_unsigned(bytes.len() as u64);
        }
    }
    (whole, parts)
}

fn is_handshake(part: &[u8]) -> bool {
    part.first().is_none_or(|kind| *kind == 22)
}

/// Whether these bytes are TLS records, the last one perhaps cut short.
fn is_records(mut bytes: &[u8]) -> bool {
    loop {
        match bytes {
            [] => return true,
            [kind @ 20..=23, rest @ ..] => match rest {
                [3, 0..=4, high, low, body @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    // Only handshake and data records may be empty, and no peer of ours does it.
                    if length == 0 || length > LONGEST_RECORD || (*kind == 20 && length != 1) {
                        return false;
                    }
                    match body.get(length..) {
                        Some(next) => bytes = next,
                        None => return true,
                    }
                }
                [] | [3] | [3, 0..=4] | [3, 0..=4, _] => return true,
                _ => return false,
            },
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
