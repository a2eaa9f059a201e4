//! The pcap file format, for people with Wireshark or tcpdump.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Packet;

/// Longest frame in a file; readers refuse more.
const LONGEST: usize = 262_144;

/// Writes packets as Ethernet frames with microseconds.
pub(super) fn write(path: &Path, packets: &[Packet]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    // Magic, version 2.4, zone and accuracy 0, longest frame, link type Ethernet.
    let head = [0xa1b2_c3d4, 0x0004_0002, 0, 0, LONGEST as u32, 1];
    for word in head {
        file.write_all(&u32::to_le_bytes(word))?;
    }
    for packet in packets {
        let at = packet.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let frame = packet.frame().get(..LONGEST).unwrap_or(packet.frame());
        let lengths = [frame.len() as u32, packet.frame().len() as u32];
        for word in [at.as_secs() as u32, at.subsec_micros()].into_iter().chain(lengths) {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(frame)?;
    }
    file.flush()
}
