//! The TCP connections of a pod, read from its network namespace: which are older than its
//! enrolment, and which are carried by the proxy.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hbone::netns::Netns;
use serde::{Deserialize, Serialize};

use crate::redirect::ruleset::{HBONE_PORT, INBOUND_PORT, OUTBOUND_PORT};

/// Most connections that are read from one table of one pod; what is beyond is not counted.
pub const MAX_FLOWS: usize = 65_536;

/// Most older connections that are remembered for one pod.
pub const MAX_OLDER: usize = 16_384;

/// One end of a connection, as the namespace that holds the socket names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

impl Flow {
    fn reverse(self) -> Self {
        Self { local: self.remote, remote: self.local }
    }

    /// Within the pod, so never redirected.
    fn is_inner(self) -> bool {
        self.local.ip() == self.remote.ip() || self.remote.ip().is_loopback()
    }
}

/// Reads the open TCP connections of a namespace, those that are being opened or closed
/// included; listening and timed-wait ones are not. Blocks for as long as the kernel needs.
pub fn read(netns: &Netns) -> io::Result<Vec<Flow>> {
    netns.run(|| {
        let mut flows = Vec::new();
        for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
            match std::fs::File::open(table) {
                Ok(file) => parse(BufReader::new(file), &mut flows)?,
                // A kernel without IPv6 has no such table.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(flows)
    })?
}

fn parse(table: impl BufRead, flows: &mut Vec<Flow>) -> io::Result<()> {
    for line in table.lines().skip(1).take(MAX_FLOWS) {
        flows.extend(flow(&line?));
    }
    Ok(())
}

/// One line of proc_net_tcp: `sl local_address rem_address st ...`.
fn flow(line: &str) -> Option<Flow> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    // TCP_TIME_WAIT, TCP_CLOSE and TCP_LISTEN carry nothing.
    let open = !matches!(state, "06" | "07" | "0A");
    open.then_some(Flow { local: endpoint(local)?, remote: endpoint(remote)? })
}

/// `0100007F:1F90`: words of the address in the machine's order, then the port.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
                place.copy_from_slice(&word);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The connections that stay outside the mesh when redirection starts now: all but the ones
/// within the pod, those that the proxy carries already, and its own.
pub fn older(flows: &[Flow]) -> BTreeSet<Flow> {
    let all: HashSet<Flow> = flows.iter().copied().collect();
    let redirected = flows.iter().filter(|flow| is_capture_port(flow.local.port()));
    let captured: HashSet<SocketAddr> = redirected.map(|flow| flow.remote).collect();
    let outside = |flow: &&Flow| {
        let proxys = is_capture_port(flow.local.port()) || flow.local.port() == HBONE_PORT;
        let carried = captured.contains(&flow.local) || all.contains(&flow.reverse());
        !flow.is_inner() && !proxys && !carried
    };
    flows.iter().filter(outside).take(MAX_OLDER).copied().collect()
}

/// Drops those that have ended.
pub fn retain_open(older: &mut BTreeSet<Flow>, flows: &[Flow]) {
    let open: HashSet<&Flow> = flows.iter().collect();
    older.retain(|flow| open.contains(flow));
}

/// How many open connections need the marks, the routes or the kernel's translation: those
/// that were redirected to the proxy, and those that it opened to the application under the
/// client's address, of which both ends are in this namespace.
pub fn carried(flows: &[Flow]) -> usize {
    let all: HashSet<Flow> = flows.iter().copied().collect();
    let redirected = |flow: &Flow| is_capture_port(flow.local.port());
    let spoofed = |flow: &Flow| !flow.is_inner() && all.contains(&flow.reverse());
    flows.iter().filter(|flow| redirected(flow) || spoofed(flow)).count()
}

fn is_capture_port(port: u16) -> bool {
    matches!(port, OUTBOUND_PORT | INBOUND_PORT)
}

#[cfg(test)]
mod tests;
