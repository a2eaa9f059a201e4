//! The way between two nodes, and what can go wrong with it.
//!
//! Everything is done in the router between them, to packets between the two nodes and their
//! pods only. Each fault is a value; it lasts until it is healed. Faults add up.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bed::Node;
use crate::capture::{Capture, CaptureError};
use crate::ip::{self, ConfigError};
use crate::netns::Netns;
use crate::shaper::{Shape, ShapeError, Shaped};

/// The way between two nodes. A clone is the same way.
#[derive(Debug, Clone)]
pub struct Link {
    infra: Netns,
    one: Side,
    other: Side,
    /// A number that no other link value of the run has.
    serial: u32,
    next: Arc<AtomicU32>,
}

/// A node as the router sees it.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    name: String,
    /// The router's interface to it.
    pub(crate) device: String,
    ips: [IpAddr; 2],
    /// IPv4 addresses and networks of it and its pods.
    pub(crate) nets4: [String; 2],
    /// The same for IPv6.
    pub(crate) nets6: [String; 2],
}

impl Side {
    fn of(node: &Node) -> Self {
        Self {
            name: node.name().to_owned(),
            device: format!("to-{}", node.name()),
            ips: node.ips(),
            nets4: [node.ip4().to_string(), node.pods4()],
            nets6: [node.ip6().to_string(), node.pods6()],
        }
    }

    /// Whether an address is the node's or a pod's of it.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        // Pod networks are 10.244.N.0/24 and fd00:244:N::/64.
        let network = match address {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                format!("{a}.{b}.{c}.0/24") == self.nets4[1]
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                ip.segments()[3] == 0 && format!("{a:x}:{b:x}:{c:x}::/64") == self.nets6[1]
            }
        };
        network || self.ips.contains(&address)
    }
}

/// A fault that lasts until it is healed.
#[derive(Debug)]
#[must_use = "keep the fault and heal it"]
pub struct Fault {
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    /// Deletes a firewall table.
    Table(String),
    /// Runs lines of `ip` in the router and the two nodes.
    Mtu([(String, String); 2]),
    /// Deletes the queue of these interfaces.
    Rate([String; 2]),
}

impl Fault {
    /// Ends it; the link is as before.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn heal(self) -> Result<(), ConfigError> {
        match self.undo {
            Undo::Table(table) => {
                ip::nft(crate::bed::INFRA, &format!("delete table inet {table}\n"))
            }
            Undo::Mtu(ends) => set_mtu(&ends, 1500),
            Undo::Rate(devices) => {
                let lines = devices.map(|device| format!("qdisc del dev {device} root\n"));
                ip::tc(crate::bed::INFRA, &lines.concat())
            }
        }
    }
}

impl Link {
    pub(crate) fn new(infra: &Netns, one: &Node, other: &Node, serial: u32) -> Self {
        let (one, other) = (Side::of(one), Side::of(other));
        Self { infra: infra.clone(), one, other, serial, next: Arc::default() }
    }

    fn number(&self) -> String {
        format!("{}_{}", self.serial, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Drops everything both ways.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn cut(&self) -> Result<Fault, ConfigError> {
        self.both_ways("", "drop")
    }

    /// Drops everything from one of the two nodes; the other way stays open.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn cut_from(&self, node: &Node) -> Result<Fault, ConfigError> {
        let (from, to) = if node.name() == self.one.name {
            (&self.one, &self.other)
        } else {
            (&self.other, &self.one)
        };
        self.load("", &rules(from, to, "drop"))
    }

    /// Loses each packet with a probability in thousandths.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn lose(&self, per_mille: u16) -> Result<Fault, ConfigError> {
        self.both_ways("", &format!("numgen random mod 1000 < {per_mille} drop"))
    }

    /// Drops packets longer than `bytes` without a word, as a path does whose ICMP is
    /// filtered. A large packet that the sender's kernel has not cut yet counts whole.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn lose_longer_than(&self, bytes: u16) -> Result<Fault, ConfigError> {
        self.both_ways("", &format!("meta length > {bytes} drop"))
    }

    /// Drops TCP of connections that are open now; those opened later pass.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn black_hole_open_connections(&self) -> Result<Fault, ConfigError> {
        let sets = "set new4 { type ipv4_addr . inet_service . ipv4_addr . inet_service; \
                    flags dynamic; size 65535; }\n\
                    set new6 { type ipv6_addr . inet_service . ipv6_addr . inet_service; \
                    flags dynamic; size 65535; }\n";
        let mut chain = [("ip", "new4"), ("ip6", "new6")]
            .map(|(family, set)| {
                let there = format!("{family} saddr . tcp sport . {family} daddr . tcp dport");
                let back = format!("{family} daddr . tcp dport . {family} saddr . tcp sport");
                format!(
                    "tcp flags & (syn | ack) == syn add @{set} {{ {there} }}\n\
                     {there} @{set} accept\n{back} @{set} accept\n"
                )
            })
            .concat();
        let drop = "meta l4proto tcp drop";
        chain.push_str(&rules(&self.one, &self.other, drop));
        chain.push_str(&rules(&self.other, &self.one, drop));
        self.load(sets, &chain)
    }

    /// Makes the links of both nodes to the router this narrow; the kernel tells senders.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn mtu(&self, bytes: u16) -> Result<Fault, ConfigError> {
        let ends = [&self.one, &self.other].map(|side| (side.name.clone(), side.device.clone()));
        set_mtu(&ends, bytes)?;
        Ok(Fault { undo: Undo::Mtu(ends) })
    }

    /// Lets at most this much pass towards each of the two nodes, whoever sends it.
    ///
    /// # Errors
    /// If the kernel refuses or has no token bucket.
    pub fn rate(&self, mbit_per_second: u32) -> Result<Fault, ConfigError> {
        let devices = [&self.one, &self.other].map(|side| side.device.clone());
        // A bucket of 128 KiB takes one packet of segmentation offload.
        let lines = devices.clone().map(|device| {
            format!("qdisc add dev {device} root tbf rate {mbit_per_second}mbit burst 128k latency 50ms\n")
        });
        ip::tc(self.infra.name(), &lines.concat())?;
        Ok(Fault { undo: Undo::Rate(devices) })
    }

    /// Sends everything through a TUN device and a program that delays, reorders, loses and
    /// corrupts packets. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// If there is no TUN device or the kernel refuses.
    pub fn shape(&self, shape: Shape) -> Result<Shaped, ShapeError> {
        Shaped::start(&self.infra, [&self.one, &self.other], shape, self.serial, &self.next)
    }

    /// Records what passes between the two nodes from now on.
    ///
    /// # Errors
    /// If a packet socket is refused.
    pub fn capture(&self) -> Result<Capture, CaptureError> {
        let (one, other) = (self.one.clone(), self.other.clone());
        Capture::start(&self.infra, &self.one.device, move |from, to| {
            (one.holds(from) && other.holds(to)) || (other.holds(from) && one.holds(to))
        })
    }

    /// As [`Link::capture`], with a pcap file written when it stops.
    ///
    /// # Errors
    /// If a packet socket is refused.
    pub fn capture_to(&self, file: &Path) -> Result<Capture, CaptureError> {
        self.capture().map(|capture| capture.with_file(file))
    }

    fn both_ways(&self, sets: &str, verdict: &str) -> Result<Fault, ConfigError> {
        let there = rules(&self.one, &self.other, verdict);
        self.load(sets, &(there + &rules(&self.other, &self.one, verdict)))
    }

    fn load(&self, sets: &str, chain: &str) -> Result<Fault, ConfigError> {
        let table = format!("fault_{}", self.number());
        let text = format!(
            "table inet {table} {{\n{sets}chain c {{\n\
             type filter hook forward priority filter;\n{chain}}}\n}}\n"
        );
        ip::nft(self.infra.name(), &text)?;
        Ok(Fault { undo: Undo::Table(table) })
    }
}

/// Rules for packets from one side to the other. A packet that comes back out of a shaper
/// has another input interface and is not judged twice.
fn rules(from: &Side, to: &Side, verdict: &str) -> String {
    let (device, to4, to6) = (&from.device, to.nets4.join(", "), to.nets6.join(", "));
    format!(
        "iifname {device} ip daddr {{ {to4} }} {verdict}\n\
         iifname {device} ip6 daddr {{ {to6} }} {verdict}\n"
    )
}

fn set_mtu(ends: &[(String, String); 2], bytes: u16) -> Result<(), ConfigError> {
    for (node, device) in ends {
        ip::batch(crate::bed::INFRA, &format!("link set {device} mtu {bytes}\n"))?;
        ip::batch(node, &format!("link set eth0 mtu {bytes}\n"))?;
    }
    Ok(())
}
