//! Hours that did not pass: steps of 10 s, written to the rings by the code that would have
//! written them then.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use observe::RESOLUTION_MS;
use observe::pb::{Cost, Counters, EdgeKey, Event, Incident};
use observe::ring::{Batch, RingSettings};

use crate::nodes::Proxy;
use crate::plan::Row;

/// One in so many steps has traffic on an edge.
const SELDOM: u64 = 2;

/// Fills the rings of all proxies with what happened from `from_ms` to `to_ms`.
pub(crate) fn write(proxies: &[Arc<Proxy>], from_ms: i64, to_ms: i64) -> std::io::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = proxies.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = proxies
            .chunks(share)
            .map(|proxies| {
                scope.spawn(|| proxies.iter().try_for_each(|proxy| one(proxy, from_ms, to_ms)))
            })
            .collect();
        running.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a writer panicked")))
        })
    })
}

fn one(proxy: &Proxy, from_ms: i64, to_ms: i64) -> std::io::Result<()> {
    let keys: Vec<(Arc<EdgeKey>, Option<Arc<EdgeKey>>)> = proxy.rows.iter().map(keys).collect();
    // Of its own: that of the recorder goes on with what happens from now on.
    let settings = RingSettings { directory: Some(proxy.ring.clone()), limit: RingSettings::LIMIT };
    let ring = observe::ring::Ring::open(settings);
    for at_ms in (from_ms..to_ms).step_by(usize::try_from(RESOLUTION_MS).unwrap_or(10_000)) {
        ring.append(at_ms, batch(proxy, &keys, at_ms))?;
    }
    age(&proxy.ring, to_ms)
}

/// The edge, and that of what a policy refuses of it.
fn keys(row: &Row) -> (Arc<EdgeKey>, Option<Arc<EdgeKey>>) {
    let refused = row.refused_by.as_ref().map(|policy| {
        let (failure, policy) = ("DENY".to_owned(), policy.clone());
        Arc::new(EdgeKey { failure, policy, ..row.key.clone() })
    });
    (Arc::new(row.key.clone()), refused)
}

fn batch(proxy: &Proxy, keys: &[(Arc<EdgeKey>, Option<Arc<EdgeKey>>)], at_ms: i64) -> Batch {
    let origin = proxy.recorder.origin();
    let mut batch = Batch::default();
    for (n, (key, refused)) in keys.iter().enumerate() {
        let dice = mixed(at_ms.unsigned_abs() / 10_000 * 31 + n as u64);
        if dice % SELDOM != 0 {
            continue;
        }
        batch.rows.push((Arc::clone(key), counters(dice, key.reporter == "waypoint")));
        let Some(refused) = refused.as_ref().filter(|_| dice % 7 == 0) else { continue };
        let counters = Counters { closed: 1, failed: 1, refused: 1, ..Counters::default() };
        batch.rows.push((Arc::clone(refused), counters));
        batch.incidents.push(Incident {
            at_ms: at_ms + 1_000,
            key: Some((**refused).clone()),
            error: format!("refused by {}", refused.policy),
            hop: "destination ztunnel".to_owned(),
            refused: true,
            node: origin.node.clone(),
            ..Incident::default()
        });
    }
    if mixed(at_ms.unsigned_abs()) % 60 == 0 {
        batch.events.push(Event {
            at_ms,
            kind: "certificate".to_owned(),
            level: "info".to_owned(),
            subject: format!("ztunnel on {}", origin.node),
            text: "a certificate was renewed".to_owned(),
            node: origin.node.clone(),
        });
    }
    batch.cost = Some(Cost {
        at_ms,
        duration_ms: RESOLUTION_MS,
        cpu_us: 120_000,
        resident_bytes: 13 << 20,
        descriptors: 90,
        handshakes: 4,
        connections: 60,
        node: origin.node.clone(),
        kind: origin.kind.clone(),
        name: origin.name.clone(),
        ..Cost::default()
    });
    batch
}

fn counters(dice: u64, http: bool) -> Counters {
    let mut counters = Counters::default();
    let times = 2 + dice % 5;
    for n in 0..times {
        let us = 500 + mixed(dice + n) % 60_000;
        if http {
            counters.requests += 4;
            counters.status(if dice % 97 == 0 { 503 } else { 200 });
            counters.latencies.get_or_insert_default().record(us);
        } else {
            counters.opened += 1;
            counters.closed += 1;
            counters.durations.get_or_insert_default().record(us * 10);
        }
    }
    counters.sent_bytes = times * 1_500;
    counters.received_bytes = times * 9_000;
    counters
}

/// A generator of numbers without a pattern (SplitMix64).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Gives every file the time at which it would have been ended.
fn age(directory: &Path, to_ms: i64) -> std::io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let began = |path: &Path| -> Option<i64> {
        path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
    };
    for (n, path) in files.iter().enumerate() {
        let next = files[n + 1..]
            .iter()
            .filter_map(|later| began(later))
            .find(|at| Some(*at) != began(path));
        let ended = Duration::from_millis(next.unwrap_or(to_ms).max(0).unsigned_abs());
        File::options().append(true).open(path)?.set_modified(UNIX_EPOCH + ended)?;
    }
    Ok(())
}
