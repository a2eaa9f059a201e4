//! What was on the wire between two nodes, and assertions about it.

mod flow;
mod packet;
mod pcap;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

pub use flow::Flow;
pub use packet::{Packet, Transport};

use crate::netns::{Netns, NetnsError};

/// Bytes kept by one capture; what comes after is counted as missed.
pub const KEEP_LIMIT: usize = 512 * 1024 * 1024;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Why nothing was captured, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The socket was refused.
    #[error("packet socket on {device}: {source}")]
    Socket {
        /// The interface.
        device: String,
        /// What the system said.
        source: io::Error,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The pcap file could not be written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Packets were missed, so that the capture proves nothing.
    #[error("the capture missed {0} packets; nothing can be said about what they held")]
    Missed(u64),
    /// The reading thread ended early.
    #[error("the capture's thread panicked")]
    Thread,
}

/// Something on the wire that should not be there.
#[derive(Debug, thiserror::Error)]
#[error("{} things on the wire are not TLS to port {port}; the first: {}", .found.len(), .found.first().map_or("", String::as_str))]
pub struct Leak {
    port: u16,
    /// One sentence for each.
    pub found: Vec<String>,
}

/// A capture at work.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Recording, io::Error>>,
    file: Option<PathBuf>,
}

/// What a capture saw.
#[derive(Debug, Default)]
pub struct Recording {
    /// In the order of arrival.
    pub packets: Vec<Packet>,
    /// Packets that the kernel or [`KEEP_LIMIT`] dropped.
    pub missed: u64,
}

impl Capture {
    /// Records the packets of an interface whose addresses `wanted` accepts.
    ///
    /// # Errors
    /// If there is no such interface, or its socket is refused.
    pub fn start(
        namespace: &Netns,
        device: &str,
        wanted: impl Fn(IpAddr, IpAddr) -> bool + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let socket = namespace
            .run(|| socket::PacketSocket::open(device))?
            .map_err(|source| CaptureError::Socket { device: device.to_owned(), source })?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || record(&socket, &seen, wanted));
        Ok(Self { stop, thread, file: None })
    }

    /// Writes a pcap file when it stops.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }

    /// Ends it. What was sent before this call is in the recording.
    ///
    /// # Errors
    /// `Missed` if it is not complete; `File` if the pcap file cannot be written.
    pub async fn stop(self) -> Result<Recording, CaptureError> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        let recording =
            joined.map_err(|_| CaptureError::Thread)?.map_err(|_| CaptureError::Thread)?;
        let recording = recording
            .map_err(|source| CaptureError::Socket { device: "the link".to_owned(), source })?;
        if let Some(path) = self.file {
            pcap::write(&path, &recording.packets)
                .map_err(|source| CaptureError::File { path, source })?;
        }
        if recording.missed > 0 {
            return Err(CaptureError::Missed(recording.missed));
        }
        Ok(recording)
    }
}

fn record(
    socket: &socket::PacketSocket,
    stop: &AtomicBool,
    wanted: impl Fn(IpAddr, IpAddr) -> bool,
) -> Result<Recording, io::Error> {
    let mut recording = Recording::default();
    let (mut kept, mut received) = (0, 0);
    let mut buffer = vec![0; 256 * 1024];
    // How many frames had come when we were told to stop: on a busy link the socket is never
    // found empty.
    let mut last = None;
    while last.is_none_or(|last| received < last) {
        if last.is_none() && stop.load(Ordering::Acquire) {
            let (queued, dropped) = socket.counts()?;
            recording.missed += dropped;
            last = Some(queued);
            continue;
        }
        let Some(length) = socket.receive(&mut buffer)? else {
            if last.is_some() {
                break;
            }
            continue;
        };
        received += 1;
        let frame = buffer.get(..length).unwrap_or_default();
        let Some(packet) = Packet::parse(SystemTime::now(), frame) else { continue };
        if !wanted(packet.from.ip(), packet.to.ip()) {
            continue;
        }
        kept += length;
        if kept > KEEP_LIMIT {
            recording.missed += 1;
        } else {
            recording.packets.push(packet);
        }
    }
    Ok(recording)
}

impl Recording {
    /// The TCP flows, each direction by itself, put together from their segments.
    pub fn flows(&self) -> Vec<Flow> {
        let mut flows: BTreeMap<(SocketAddr, SocketAddr), Vec<&Packet>> = BTreeMap::new();
        for packet in &self.packets {
            if matches!(packet.transport, Transport::Tcp { .. }) {
                flows.entry((packet.from, packet.to)).or_default().push(packet);
            }
        }
        flows.into_iter().flat_map(|(ends, packets)| Flow::assemble(ends, &packets)).collect()
    }

    /// Whether `bytes` were on the wire, in a packet or across the segments of a flow.
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let holds = |hay: &[u8]| memmem(hay, bytes);
        self.packets.iter().any(|packet| holds(packet.payload()))
            || self.flows().iter().any(|flow| flow.parts().any(holds))
    }

    /// Payload bytes of TCP from packets that `choose` accepts, retransmissions included.
    pub fn payload_bytes(&self, choose: impl Fn(&Packet) -> bool) -> usize {
        self.packets
            .iter()
            .filter(|packet| choose(packet))
            .map(|packet| packet.payload().len())
            .sum()
    }

    /// Packets from an address.
    pub fn from(&self, address: IpAddr) -> impl Iterator<Item = &Packet> {
        self.packets.iter().filter(move |packet| packet.from.ip() == address)
    }

    /// Checks that all that was said is TLS on TCP connections to `port`: no other payload of
    /// TCP, no UDP, and every flow a sequence of TLS records. ICMP and empty segments pass.
    ///
    /// Returns the bytes of TLS seen, so that a caller can tell silence from secrecy.
    ///
    /// # Errors
    /// [`Leak`] with everything else.
    pub fn holds_only_tls_to(&self, port: u16) -> Result<usize, Leak> {
        let mut found = Vec::new();
        for packet in &self.packets {
            let to_port = packet.to.port() == port || packet.from.port() == port;
            let allowed = match packet.transport {
                Transport::Tcp { .. } => packet.payload().is_empty() || to_port,
                Transport::Other(protocol) => protocol == ICMP || protocol == ICMPV6,
                Transport::Udp | Transport::Fragment => false,
            };
            if !allowed {
                found.push(format!("{packet}"));
            }
        }
        let mut bytes = 0;
        for flow in self.flows() {
            if flow.to.port() == port || flow.from.port() == port {
                bytes += flow.parts().map(<[u8]>::len).sum::<usize>();
                found.extend(flow.not_tls());
            }
        }
        if found.is_empty() { Ok(bytes) } else { Err(Leak { port, found }) }
    }

    /// How long the recording is, from the first packet to the last.
    pub fn span(&self) -> Duration {
        let (first, last) = (self.packets.first(), self.packets.last());
        first
            .zip(last)
            .and_then(|(first, last)| last.at.duration_since(first.at).ok())
            .unwrap_or_default()
    }
}

/// Whether `hay` contains `needle`; an empty needle is nowhere.
fn memmem(hay: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
