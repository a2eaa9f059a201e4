//! Bytes of the wire for the eye.

use testbed::capture::{Flow, Recording};

/// Bytes on a line: with their text they fit into 80 columns.
const PER_LINE: usize = 16;
/// First byte of a TLS record that carries data of the application: RFC 8446 section 5.1.
const APPLICATION_DATA: u8 = 23;

/// Lines of offset, hexadecimal and text.
pub(crate) fn dump(bytes: &[u8]) -> Vec<String> {
    let line = |(number, part): (usize, &[u8])| {
        let hex: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = part
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        format!("{:04x}  {:<47}  {text}", number * PER_LINE, hex.join(" "))
    };
    bytes.chunks(PER_LINE).enumerate().map(line).collect()
}

/// The first flow that begins with `text`, and what is said in it.
pub(crate) fn spoken(recording: &Recording, text: &[u8]) -> Option<(Flow, Vec<u8>)> {
    find(recording, |part| part.starts_with(text).then_some(part))
}

/// The first record with data of the application, of a connection to `port`.
pub(crate) fn record(recording: &Recording, port: u16) -> Option<(Flow, Vec<u8>)> {
    let (flow, record) = find(recording, data_record)?;
    (flow.to.port() == port || flow.from.port() == port).then_some((flow, record))
}

fn find(recording: &Recording, choose: impl Fn(&[u8]) -> Option<&[u8]>) -> Option<(Flow, Vec<u8>)> {
    recording.flows().into_iter().find_map(|flow| {
        let found = flow.parts().find_map(&choose)?.to_vec();
        Some((flow, found))
    })
}

/// Skips records until one carries data; `None` if what is here does not begin with a record.
fn data_record(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match bytes {
            [APPLICATION_DATA, 3, 3, ..] => return Some(bytes),
            [20..=22, 3, _, high, low, body @ ..] => {
                bytes = body.get(usize::from(u16::from_be_bytes([*high, *low]))..)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
