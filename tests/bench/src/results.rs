//! Samples, medians, ratios and their spread.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a number is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Metric {
    /// The measurement, such as `requests, 64 connections`.
    pub measurement: String,
    /// What of it, such as `rate`.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
}

impl Metric {
    /// A metric of a measurement.
    pub fn new(measurement: &str, name: &str, unit: &'static str) -> Self {
        Self { measurement: measurement.to_owned(), name: name.to_owned(), unit }
    }
}

/// The middle of some numbers and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of two, their mean.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of some numbers; none of no numbers.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let low = *sorted.get((sorted.len() - 1) / 2)?;
        let high = *sorted.get(sorted.len() / 2)?;
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// The round it is from.
    pub round: usize,
    /// The number.
    pub value: f64,
}

/// All numbers of a run, in the order of measuring.
#[derive(Clone, Debug, Default)]
pub struct Results {
    metrics: Vec<Metric>,
    samples: BTreeMap<(Metric, String), Vec<Sample>>,
    failures: Vec<Failure>,
}

/// A measurement without a result.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Of what.
    pub subject: String,
    /// Which.
    pub measurement: String,
    /// Why.
    pub reason: String,
}

impl Results {
    /// Adds a number of `subject`.
    pub fn add(&mut self, round: usize, subject: &str, metric: Metric, value: f64) {
        if !self.metrics.contains(&metric) {
            let same = |known: &Metric| known.measurement == metric.measurement;
            let after = self.metrics.iter().rposition(same).map_or(self.metrics.len(), |at| at + 1);
            self.metrics.insert(after, metric.clone());
        }
        let samples = self.samples.entry((metric, subject.to_owned())).or_default();
        samples.push(Sample { round, value });
    }

    /// Notes that a measurement failed.
    pub fn fail(&mut self, subject: &str, measurement: &str, reason: &anyhow::Error) {
        let (subject, measurement) = (subject.to_owned(), measurement.to_owned());
        self.failures.push(Failure { subject, measurement, reason: format!("{reason:#}") });
    }

    /// What was measured, in order, each measurement's together.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// What failed.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The numbers of one subject.
    pub fn samples(&self, metric: &Metric, subject: &str) -> &[Sample] {
        self.samples.get(&(metric.clone(), subject.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Their spread.
    pub fn spread(&self, metric: &Metric, subject: &str) -> Option<Spread> {
        let values: Vec<f64> = self.samples(metric, subject).iter().map(|s| s.value).collect();
        Spread::of(&values)
    }

    /// How many times as large the subject's numbers are as another's, round by round: what
    /// the machine does to both in one round cancels out.
    pub fn ratio(&self, metric: &Metric, subject: &str, other: &str) -> Option<Spread> {
        let others = self.samples(metric, other);
        let of = |sample: &Sample| {
            let base = others.iter().find(|other| other.round == sample.round)?.value;
            (base != 0.0).then(|| sample.value / base)
        };
        let ratios: Vec<f64> = self.samples(metric, subject).iter().filter_map(of).collect();
        Spread::of(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        for (numbers, want) in [
            (vec![3.0], (3.0, 3.0, 3.0)),
            (vec![5.0, 1.0, 2.0], (2.0, 1.0, 5.0)),
            (vec![4.0, 1.0, 2.0, 9.0], (3.0, 1.0, 9.0)),
        ] {
            let (median, min, max) = want;
            assert_eq!(Spread::of(&numbers), Some(Spread { median, min, max }), "{numbers:?}");
        }
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_within_a_round() {
        let mut results = Results::default();
        let rate = Metric::new("bulk", "throughput", "Gbit/s");
        // The machine is twice as fast in the second round; the ratio does not change.
        for (round, speed) in [(0, 10.0), (1, 20.0)] {
            results.add(round, "direct", rate.clone(), speed);
            results.add(round, "ambit", rate.clone(), speed / 4.0);
        }
        let quarter = Spread { median: 0.25, min: 0.25, max: 0.25 };
        assert_eq!(results.ratio(&rate, "ambit", "direct"), Some(quarter));
        assert_eq!(results.ratio(&rate, "ambit", "absent"), None);
        assert_eq!(results.metrics(), &[rate]);
    }

    #[test]
    fn what_belongs_to_a_measurement_is_together() {
        let mut results = Results::default();
        for (measurement, name) in [("idle", "ztunnel"), ("bulk", "rate"), ("idle", "waypoint")] {
            results.add(0, "ambit", Metric::new(measurement, name, "MiB"), 1.0);
        }
        let names: Vec<&str> = results.metrics().iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["ztunnel", "waypoint", "rate"]);
    }

    #[test]
    fn a_round_without_its_counterpart_has_no_ratio() {
        let mut results = Results::default();
        let rate = Metric::new("bulk", "throughput", "Gbit/s");
        results.add(0, "direct", rate.clone(), 0.0);
        results.add(0, "ambit", rate.clone(), 1.0);
        results.add(1, "ambit", rate.clone(), 1.0);
        assert_eq!(results.ratio(&rate, "ambit", "direct"), None);
    }
}
