//! A step as it lies in its file.
//!
//! A question seldom needs all of it, and rows are many: they are added up where they are,
//! without a message for each. What is here is protobuf's wire format and nothing of ours; a
//! field that a later version added is passed over.

use crate::pb::{Counters, Sketch};

/// A part of a step. Messages are still to be decoded.
#[derive(Debug)]
pub enum Part<'a> {
    /// What was counted of the edge with this name.
    Row(u32, Tally<'a>),
    /// An `Incident`.
    Incident(&'a [u8]),
    /// An `Event`.
    Event(&'a [u8]),
    /// A `Cost`.
    Cost(&'a [u8]),
    /// Edges that were folded.
    Folded(u64),
    /// Incidents that were not kept.
    Dropped(u64),
}

/// `Counters` that are not decoded.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'a>(&'a [u8]);

/// The parts of a `Frame`, up to what cannot be read.
pub(super) fn parts(frame: &[u8]) -> impl Iterator<Item = Part<'_>> {
    Fields(frame).filter_map(|field| {
        Some(match field {
            (2, Value::Bytes(row)) => {
                let (mut id, mut counters) = (0, None);
                for field in Fields(row) {
                    match field {
                        (1, Value::Number(of)) => id = u32::try_from(of).ok()?,
                        (2, Value::Bytes(of)) => counters = Some(Tally(of)),
                        _ => {}
                    }
                }
                Part::Row(id, counters?)
            }
            (3, Value::Bytes(incident)) => Part::Incident(incident),
            (4, Value::Bytes(event)) => Part::Event(event),
            (5, Value::Bytes(cost)) => Part::Cost(cost),
            (6, Value::Number(folded)) => Part::Folded(folded),
            (7, Value::Number(dropped)) => Part::Dropped(dropped),
            _ => return None,
        })
    })
}

impl Tally<'_> {
    /// Adds all of it, as [`Counters::merge`] does.
    pub fn add_to(self, sum: &mut Counters) {
        let mut statuses = 0;
        for field in Fields(self.0) {
            let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
            match field {
                (1, Value::Number(n)) => add(&mut sum.opened, n),
                (2, Value::Number(n)) => add(&mut sum.closed, n),
                (3, Value::Number(n)) => add(&mut sum.failed, n),
                (4, Value::Number(n)) => add(&mut sum.refused, n),
                (5, Value::Number(n)) => add(&mut sum.sent_bytes, n),
                (6, Value::Number(n)) => add(&mut sum.received_bytes, n),
                (7, Value::Number(n)) => add(&mut sum.requests, n),
                (8, Value::Number(n)) => status(sum, &mut statuses, n),
                (8, Value::Bytes(packed)) => {
                    Numbers(packed).for_each(|n| status(sum, &mut statuses, n));
                }
                (9, Value::Number(n)) => add(&mut sum.retries, n),
                (10, Value::Bytes(of)) => sketch(sum.durations.get_or_insert_default(), of),
                (11, Value::Bytes(of)) => sketch(sum.latencies.get_or_insert_default(), of),
                _ => {}
            }
        }
    }
}

fn status(sum: &mut Counters, at: &mut usize, n: u64) {
    if sum.statuses.len() <= *at {
        sum.statuses.resize(*at + 1, 0);
    }
    if let Some(known) = sum.statuses.get_mut(*at) {
        *known = known.saturating_add(n);
    }
    *at += 1;
}

/// Adds a `Sketch`, whose lists are packed, as they are written.
fn sketch(sum: &mut Sketch, of: &[u8]) {
    let (mut bins, mut counts) = (Numbers(&[]), Numbers(&[]));
    for field in Fields(of) {
        match field {
            (1, Value::Bytes(packed)) => bins = Numbers(packed),
            (2, Value::Bytes(packed)) => counts = Numbers(packed),
            _ => {}
        }
    }
    for (bin, count) in bins.zip(counts) {
        sum.add(u32::try_from(bin).unwrap_or(u32::MAX), count);
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A width that we do not write.
    Other,
}

/// Fields of a message, up to what cannot be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = number(&mut self.0)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut self.0)?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(number(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, value))
    }
}

impl<'a> Fields<'a> {
    fn skip(&mut self, width: usize) -> Option<Value<'a>> {
        self.0 = self.0.get(width..)?;
        Some(Value::Other)
    }
}

/// Packed numbers.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        number(&mut self.0)
    }
}

/// A number of one to ten bytes; none at the end, or if there is no end to it.
fn number(from: &mut &[u8]) -> Option<u64> {
    let mut sum = 0u64;
    for at in 0..10 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        sum |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(sum);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb::ring::{Frame, Row};
    use crate::pb::{Cost, Event, Incident};

    fn many(seed: u64) -> Counters {
        let mut of = Counters {
            opened: seed,
            closed: seed / 2,
            failed: seed % 3,
            refused: seed % 2,
            sent_bytes: seed << 40,
            received_bytes: u64::MAX / (seed + 1),
            requests: seed % 7,
            retries: seed % 5,
            ..Counters::default()
        };
        (0..seed % 4).for_each(|n| of.status(u16::try_from(100 * n + 150).unwrap()));
        for n in 0..seed % 11 {
            of.durations.get_or_insert_default().record(n * n * 977 % 5_000);
            of.latencies.get_or_insert_default().record(n << (seed % 40));
        }
        of
    }

    #[test]
    fn adding_what_lies_in_a_file_is_adding_the_messages() {
        let (mut one, mut other) = (Counters::default(), Counters::default());
        for seed in [0, 1, 2, 3, 10, 77, 1 << 20, (1 << 24) - 1] {
            let counters = many(seed);
            one.merge(&counters);
            Tally(&counters.encode_to_vec()).add_to(&mut other);
            assert_eq!(one, other, "after {seed}");
        }
    }

    #[test]
    fn a_frame_has_its_parts() {
        let row = |id| Row { id, counters: Some(many(u64::from(id))) };
        let frame = Frame {
            rows: vec![row(0), row(300)],
            incidents: vec![Incident { error: "no way".into(), ..Incident::default() }],
            events: vec![Event { kind: "policy".into(), ..Event::default() }],
            cost: Some(Cost { cpu_us: 5, ..Cost::default() }),
            folded: 3,
            dropped: 1 << 40,
            ..Frame::default()
        };
        let bytes = frame.encode_to_vec();
        let mut again = Frame::default();
        for part in parts(&bytes) {
            match part {
                Part::Row(id, tally) => {
                    let mut counters = Counters::default();
                    tally.add_to(&mut counters);
                    again.rows.push(Row { id, counters: Some(counters) });
                }
                Part::Incident(of) => again.incidents.push(Incident::decode(of).unwrap()),
                Part::Event(of) => again.events.push(Event::decode(of).unwrap()),
                Part::Cost(of) => again.cost = Some(Cost::decode(of).unwrap()),
                Part::Folded(of) => again.folded = of,
                Part::Dropped(of) => again.dropped = of,
            }
        }
        assert_eq!(again, frame);
    }

    #[test]
    fn what_is_no_message_ends_and_does_not_panic() {
        let frame =
            Frame { rows: vec![Row { id: 1, counters: Some(many(77)) }], ..Frame::default() };
        let whole = frame.encode_to_vec();
        for cut in 0..whole.len() {
            assert!(parts(&whole[..cut]).count() <= 1);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            for part in parts(&bytes) {
                if let Part::Row(_, tally) = part {
                    tally.add_to(&mut Counters::default());
                }
            }
        }
        assert_eq!(parts(&[0xff; 64]).count(), 0);
    }
}
