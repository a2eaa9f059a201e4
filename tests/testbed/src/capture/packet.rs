//! One packet: addresses, transport and payload, from an Ethernet frame.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

/// A packet of IPv4 or IPv6.
#[derive(Debug, Clone)]
pub struct Packet {
    /// When we read it.
    pub at: SystemTime,
    /// Its source; port 0 unless it is TCP or UDP.
    pub from: SocketAddr,
    /// Its destination; port 0 unless it is TCP or UDP.
    pub to: SocketAddr,
    /// What it carries.
    pub transport: Transport,
    frame: Vec<u8>,
    /// Where the payload lies in the frame.
    payload: (usize, usize),
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A segment: its sequence number and flag bits (FIN 1, SYN 2, RST 4, ACK 16).
    Tcp {
        /// Of the first payload byte; of the SYN itself in a SYN.
        seq: u32,
        /// As in RFC 9293 section 3.1.
        flags: u8,
    },
    /// A datagram.
    Udp,
    /// A later fragment, whose transport header was in another packet.
    Fragment,
    /// Another protocol, by its number.
    Other(u8),
}

const ETHERNET: usize = 14;

impl Packet {
    /// Reads an Ethernet frame; `None` if it is no IP packet or cut short.
    pub(super) fn parse(at: SystemTime, frame: &[u8]) -> Option<Self> {
        let ip = match be16(frame, 12)? {
            0x0800 => ipv4(frame)?,
            0x86dd => ipv6(frame)?,
            _ => return None,
        };
        let (from_port, to_port, transport, start) = match ip.protocol {
            _ if ip.fragment => (0, 0, Transport::Fragment, ip.start),
            6 => {
                let seq = u32::from(be16(frame, ip.start + 4)?) << 16
                    | u32::from(be16(frame, ip.start + 6)?);
                let header = usize::from(frame.get(ip.start + 12)? >> 4) * 4;
                let transport = Transport::Tcp { seq, flags: *frame.get(ip.start + 13)? };
                (be16(frame, ip.start)?, be16(frame, ip.start + 2)?, transport, ip.start + header)
            }
            17 => {
                (be16(frame, ip.start)?, be16(frame, ip.start + 2)?, Transport::Udp, ip.start + 8)
            }
            other => (0, 0, Transport::Other(other), ip.start),
        };
        let end = ip.end.min(frame.len());
        (start <= end).then(|| Self {
            at,
            from: SocketAddr::new(ip.from, from_port),
            to: SocketAddr::new(ip.to, to_port),
            transport,
            frame: frame.to_vec(),
            payload: (start, end),
        })
    }

    /// What lies behind the transport header.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.payload.0..self.payload.1).unwrap_or_default()
    }

    /// The whole Ethernet frame.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Whether it is a TCP segment with all these flag bits.
    pub fn has_flags(&self, wanted: u8) -> bool {
        matches!(self.transport, Transport::Tcp { flags, .. } if flags & wanted == wanted)
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.payload().get(..self.payload().len().min(48)).unwrap_or_default();
        let (from, to, bytes) = (self.from, self.to, self.payload().len());
        write!(out, "{from} > {to} {:?} {bytes} bytes: {}", self.transport, start.escape_ascii())
    }
}

struct Ip {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    fragment: bool,
    start: usize,
    end: usize,
}

fn ipv4(frame: &[u8]) -> Option<Ip> {
    let header = usize::from(frame.get(ETHERNET)? & 0xf) * 4;
    let address = |at: usize| {
        let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    // The total length is 0 in a packet of segmentation offload beyond 64 KiB.
    let total = match be16(frame, ETHERNET + 2)? {
        0 => frame.len(),
        total => usize::from(total),
    };
    Some(Ip {
        from: address(ETHERNET + 12)?,
        to: address(ETHERNET + 16)?,
        protocol: *frame.get(ETHERNET + 9)?,
        fragment: be16(frame, ETHERNET + 6)? & 0x1fff != 0,
        start: ETHERNET + header,
        end: ETHERNET + total,
    })
}

fn ipv6(frame: &[u8]) -> Option<Ip> {
    let address = |at: usize| {
        let bytes: [u8; 16] = frame.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let total = match be16(frame, ETHERNET + 4)? {
        0 => frame.len(),
        total => usize::from(total) + 40,
    };
    let (mut protocol, mut start, mut fragment) = (*frame.get(ETHERNET + 6)?, ETHERNET + 40, false);
    // Hop-by-hop, routing and destination options have a length, a fragment header has not.
    while matches!(protocol, 0 | 43 | 44 | 60) {
        fragment |= protocol == 44 && be16(frame, start + 2)? >> 3 != 0;
        let length = if protocol == 44 { 8 } else { 8 + usize::from(*frame.get(start + 1)?) * 8 };
        protocol = *frame.get(start)?;
        start += length;
    }
    let (from, to) = (address(ETHERNET + 8)?, address(ETHERNET + 24)?);
    Some(Ip { from, to, protocol, fragment, start, end: ETHERNET + total })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
