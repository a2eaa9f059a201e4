//! Delay, jitter, loss, reordering and corruption, by a program behind a TUN device.
//!
//! Policy routes in the router send what passes between two nodes to the device. A task
//! reads it, holds each packet for its time and writes it back; from there it follows the
//! ordinary routes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bed::INFRA;
use crate::ip::{self, ConfigError};
use crate::link::Side;
use crate::netns::{Netns, NetnsError};
use crate::tun;

/// Packets held at once; more are dropped, as a router's full queue would.
const QUEUE_LIMIT: usize = 20_000;
/// Numbers of our routing tables and rules start here.
const TABLES_FROM: u32 = 1000;

/// What happens to each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Held this long, one way.
    pub delay: Duration,
    /// And up to this much longer; packets may then overtake each other.
    pub jitter: Duration,
    /// Lost, in thousandths.
    pub lose: u16,
    /// Sent on at once, before those that wait, in thousandths.
    pub reorder: u16,
    /// One byte changed after the IP header, in thousandths.
    pub corrupt: u16,
    /// Sent twice, in thousandths.
    pub duplicate: u16,
}

/// Why a shaper could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// No TUN device.
    #[error("/dev/net/tun: {0}; delay and reordering need it")]
    Tun(#[source] io::Error),
    /// The router could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// Routes were refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a shaper did so far, in packets.
#[derive(Debug, Default)]
struct Counters {
    passed: AtomicU64,
    lost: AtomicU64,
}

/// A shaper at work, until it is ended.
#[derive(Debug)]
#[must_use = "keep the shaper and heal it"]
pub struct Shaped {
    task: JoinHandle<()>,
    counters: Arc<Counters>,
    undo4: String,
    undo6: String,
}

impl Shaped {
    pub(crate) fn start(
        infra: &Netns,
        sides: [&Side; 2],
        shape: Shape,
        serial: u32,
        next: &AtomicU32,
    ) -> Result<Self, ShapeError> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let device = format!("shape{serial}-{number}");
        let table = TABLES_FROM + serial * 16 + number % 16;
        let file = infra.run(|| tun::open(&device))?.map_err(ShapeError::Tun)?;
        let file = tun::register(file).map_err(ShapeError::Tun)?;
        ip::batch(INFRA, &format!("link set {device} up mtu 1500 txqueuelen 10000\n"))?;
        let [one, other] = sides;
        let (setup4, undo4) = routes(&device, table, [(one, &other.nets4), (other, &one.nets4)]);
        let (setup6, undo6) = routes(&device, table, [(one, &other.nets6), (other, &one.nets6)]);
        ip::batch(INFRA, &setup4)?;
        ip::batch6(INFRA, &setup6)?;
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(forward(file, shape, Arc::clone(&counters)));
        Ok(Self { task, counters, undo4, undo6 })
    }

    /// Packets sent on so far.
    pub fn passed(&self) -> u64 {
        self.counters.passed.load(Ordering::Relaxed)
    }

    /// Packets lost so far, on purpose or because the queue was full.
    pub fn lost(&self) -> u64 {
        self.counters.lost.load(Ordering::Relaxed)
    }

    /// Ends it; packets take the straight way again, those still held are lost.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn heal(self) -> Result<(), ShapeError> {
        ip::batch(INFRA, &self.undo4)?;
        ip::batch6(INFRA, &self.undo6)?;
        self.task.abort();
        // The device goes with its descriptor, which the task owns.
        let _ = self.task.await;
        Ok(())
    }
}

/// The lines of one family that lead both ways into the device, and those that take the
/// rules back. Routes of the table go with the device.
fn routes(device: &str, table: u32, ways: [(&Side, &[String; 2]); 2]) -> (String, String) {
    let mut setup = format!("route add default dev {device} table {table}\n");
    let mut undo = String::new();
    for (from, nets) in ways {
        for net in nets {
            let rule = format!("iif {} to {net} lookup {table} pref {table}\n", from.device);
            setup.extend(["rule add ", &rule]);
            undo.extend(["rule del ", &rule]);
        }
    }
    (setup, undo)
}

/// Packets in the order in which they are due; equal ones in the order of arrival.
type Held = BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>;

async fn forward(tun: AsyncFd<File>, shape: Shape, counters: Arc<Counters>) {
    let mut random = SmallRng::from_os_rng();
    let mut held: Held = BinaryHeap::new();
    let mut number = 0;
    let mut buffer = vec![0; 65_536];
    loop {
        let due = held.peek().map_or_else(far_away, |Reverse((due, ..))| *due);
        tokio::select! {
            ready = tun.readable() => {
                let Ok(mut ready) = ready else { return };
                let Ok(read) = ready.try_io(|tun| tun.get_ref().read(&mut buffer)) else { continue };
                let Ok(length) = read else { return };
                let packet = buffer.get(..length).unwrap_or_default();
                number = hold(packet, shape, &mut random, &mut held, number, &counters);
            }
            () = tokio::time::sleep_until(due) => send_due(&tun, &mut held, &counters),
        }
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

/// Decides a packet's fate; returns the number for the next.
fn hold(
    packet: &[u8],
    shape: Shape,
    random: &mut SmallRng,
    held: &mut Held,
    number: u64,
    counters: &Counters,
) -> u64 {
    let mut chance = |per_mille: u16| random.random_range(0..1000) < per_mille;
    if chance(shape.lose) || held.len() >= QUEUE_LIMIT {
        counters.lost.fetch_add(1, Ordering::Relaxed);
        return number;
    }
    let copies = if chance(shape.duplicate) { 2 } else { 1 };
    let (at_once, spoilt) = (chance(shape.reorder), chance(shape.corrupt));
    let mut wait = Duration::ZERO;
    if !at_once {
        wait = shape.delay + shape.jitter.mul_f64(random.random::<f64>());
    }
    let mut packet = packet.to_vec();
    if spoilt {
        corrupt(&mut packet, random);
    }
    for copy in 0..copies {
        held.push(Reverse((Instant::now() + wait, number + copy, packet.clone())));
    }
    number + copies
}

/// Changes one bit behind the IP header, so that the transport's checksum is wrong.
fn corrupt(packet: &mut [u8], random: &mut SmallRng) {
    let header = if packet.first().is_some_and(|first| first >> 4 == 6) { 40 } else { 20 };
    if packet.len() > header {
        let at = random.random_range(header..packet.len());
        if let Some(byte) = packet.get_mut(at) {
            *byte ^= 1 << random.random_range(0..8);
        }
    }
}

fn send_due(tun: &AsyncFd<File>, held: &mut Held, counters: &Counters) {
    let now = Instant::now();
    while held.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
        let Some(Reverse((_, _, packet))) = held.pop() else { return };
        // A TUN device takes a packet at once or refuses it; a refused one is a lost one.
        let sent = tun.get_ref().write(&packet).is_ok();
        let counter = if sent { &counters.passed } else { &counters.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
