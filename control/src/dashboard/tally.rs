//! How often something happened of late, for a bounded number of keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts by key; a count begins anew after a time.
#[derive(Debug)]
pub struct Tally<K> {
    window: Duration,
    most: usize,
    counts: Mutex<HashMap<K, (u32, Instant)>>,
}

impl<K: Clone + Eq + Hash> Tally<K> {
    /// Counts that begin anew after `window`, for at most `most` keys.
    pub fn new(window: Duration, most: usize) -> Self {
        Self { window, most, counts: Mutex::default() }
    }

    /// Counts one more; how many there are with it.
    pub fn count(&self, key: &K, now: Instant) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= self.most && !counts.contains_key(key) {
            self.make_room(&mut counts, now);
        }
        let (count, began) = counts.entry(key.clone()).or_insert((0, now));
        if now.saturating_duration_since(*began) >= self.window {
            (*count, *began) = (0, now);
        }
        *count = count.saturating_add(1);
        *count
    }

    /// How many there are.
    pub fn so_far(&self, key: &K, now: Instant) -> u32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |began: &Instant| now.saturating_duration_since(*began) < self.window;
        counts.get(key).filter(|(_, began)| young(began)).map_or(0, |(count, _)| *count)
    }

    /// Nobody is kept out by many others: the one that began first gives way.
    fn make_room(&self, counts: &mut HashMap<K, (u32, Instant)>, now: Instant) {
        counts.retain(|_, (_, began)| now.saturating_duration_since(*began) < self.window);
        if counts.len() < self.most {
            return;
        }
        let first = counts.iter().min_by_key(|(_, (_, began))| *began);
        if let Some(first) = first.map(|(key, _)| key.clone()) {
            counts.remove(&first);
        }
    }
}

/// Whom an address belongs to: of IPv6 its network of 64 bits, since one machine may have all of
/// its addresses.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_begin_anew_after_a_time() {
        let (tally, now) = (Tally::new(Duration::from_mins(1), 4), Instant::now());
        assert_eq!(tally.so_far(&1, now), 0);
        assert_eq!((tally.count(&1, now), tally.count(&1, now), tally.count(&2, now)), (1, 2, 1));
        assert_eq!(tally.so_far(&1, now + Duration::from_secs(59)), 2);
        let later = now + Duration::from_mins(1);
        assert_eq!(tally.so_far(&1, later), 0);
        assert_eq!(tally.count(&1, later), 1);
    }

    #[test]
    fn so_many_are_counted_and_the_one_that_began_first_gives_way() {
        let (tally, now) = (Tally::new(Duration::from_mins(1), 3), Instant::now());
        let at = |n: u32| now + Duration::from_secs(n.into());
        for n in 0..10 {
            assert_eq!(tally.count(&n, at(n)), 1, "nobody is kept out");
        }
        let kept: Vec<u32> = (0..10).filter(|n| tally.so_far(n, at(10)) > 0).collect();
        assert_eq!(kept, [7, 8, 9]);
        assert_eq!(tally.counts.lock().expect("sound").len(), 3);
    }

    #[test]
    fn addresses_of_one_machine_are_one() {
        let of = |text: &str| source(text.parse().expect("an address"));
        assert_eq!(of("fd00::1:2:3:4"), of("fd00::5"));
        assert_ne!(of("fd00:0:0:1::1"), of("fd00::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
