//! A histogram of microseconds that can be added to another (`Sketch` in observe.proto).
//!
//! Bins grow with the value, 16 to each doubling, so that the middle of a bin is at most 1/32 off
//! whatever it holds. Only bins that hold something are kept.

use crate::pb::Sketch;

/// Bins of one doubling.
const BINS: u32 = 16;

/// The bin of a value.
fn bin(us: u64) -> u32 {
    let Some(exponent) = us.checked_ilog2() else { return 0 };
    let rest = us - (1 << exponent);
    // `rest` has at most `exponent` bits: what is kept of it are the four highest.
    let fine = if exponent >= 4 { rest >> (exponent - 4) } else { rest << (4 - exponent) };
    BINS * exponent + u32::try_from(fine).unwrap_or(BINS - 1) + 1
}

/// Where a bin begins, and where the next does.
pub fn bounds(bin: u32) -> (f64, f64) {
    let Some(bin) = bin.checked_sub(1) else { return (0.0, 0.0) };
    let (exponent, fine) = ((bin / BINS).min(64), bin % BINS);
    let base = 2f64.powi(exponent.cast_signed());
    let at = |fine: u32| base * (1.0 + f64::from(fine) / f64::from(BINS));
    (at(fine), at(fine + 1))
}

impl Sketch {
    /// Counts a value.
    pub fn record(&mut self, us: u64) {
        self.add(bin(us), 1);
    }

    /// Counts a value so many times.
    pub fn record_many(&mut self, us: u64, times: u64) {
        self.add(bin(us), times);
    }

    /// Counts several in a bin.
    pub(crate) fn add(&mut self, bin: u32, count: u64) {
        match self.bins.binary_search(&bin) {
            Ok(at) => {
                if let Some(known) = self.counts.get_mut(at) {
                    *known = known.saturating_add(count);
                }
            }
            Err(at) => {
                self.bins.insert(at, bin);
                self.counts.insert(at.min(self.counts.len()), count);
            }
        }
    }

    /// Adds all of another one.
    pub fn merge(&mut self, other: &Self) {
        if self.bins == other.bins && self.counts.len() == other.counts.len() {
            for (known, count) in self.counts.iter_mut().zip(&other.counts) {
                *known = known.saturating_add(*count);
            }
            return;
        }
        for (bin, count) in other.bins.iter().zip(&other.counts) {
            self.add(*bin, *count);
        }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The value below which a share of `q` (0 to 1) lies, in microseconds; none if there are
    /// none.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = (q.clamp(0.0, 1.0) * all as f64).ceil().max(1.0);
        let mut seen = 0.0;
        let found = self.bins.iter().zip(&self.counts).find(|(_, count)| {
            seen += **count as f64;
            seen >= rank
        });
        let bin = found.map(|(bin, _)| *bin).or(self.bins.last().copied())?;
        let (low, high) = bounds(bin);
        Some(f64::midpoint(low, high).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_values_and_its_middle_is_near() {
        for exponent in 0..40u32 {
            for offset in [0u64, 1, 3, 7, 1_001, 123_457] {
                let value = (1u64 << exponent) + offset;
                let (low, high) = bounds(bin(value));
                let real = value as f64;
                assert!(low <= real && real < high, "{value}: {low}..{high}");
                let off = (f64::midpoint(low, high) - real).abs() / real;
                assert!(off <= 1.0 / 32.0 + 1e-9, "{value} is {off} off");
            }
        }
        assert_eq!(bin(0), 0);
        assert!(bounds(bin(u64::MAX)).1 > 1e19);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        for value in 1..=1000 {
            sketch.record(value * 100);
        }
        for (q, want) in [(0.0, 100.0), (0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0)] {
            let got = sketch.quantile(q).expect("values") as f64;
            assert!((got - want).abs() / want <= 0.04, "{q}: {got} for {want}");
        }
    }

    #[test]
    fn halves_merged_are_the_whole_in_any_order() {
        let values: Vec<u64> = (0..500).map(|n| n * n * 37 % 1_000_003).collect();
        let of = |values: &[u64]| {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.record(*value));
            sketch
        };
        let (one, two) = (of(&values[..200]), of(&values[200..]));
        let mut forth = one.clone();
        forth.merge(&two);
        let mut back = two;
        back.merge(&one);
        assert_eq!(forth, of(&values));
        assert_eq!(back, forth);
    }

    #[test]
    fn a_sketch_of_uneven_lists_is_no_panic() {
        let broken = Sketch { bins: vec![5, 9, 4_000_000_000], counts: vec![u64::MAX] };
        let mut sketch = broken.clone();
        sketch.record(1 << 40);
        sketch.merge(&broken);
        assert!(sketch.quantile(0.99).is_some());
    }
}
