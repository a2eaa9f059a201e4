//! The table and the JSON file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::results::{Failure, Metric, Results, Sample, Spread};

/// What others are compared with first.
pub const BASE: &str = "direct";

/// The machine and the settings of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// Processors that the run may use.
    pub processors: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// Rounds.
    pub rounds: usize,
    /// Length of one measurement, in seconds.
    pub seconds: f64,
}

#[derive(Serialize)]
struct Document<'a> {
    conditions: &'a Conditions,
    subjects: &'a [String],
    results: Vec<Row<'a>>,
    failures: &'a [Failure],
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    metric: &'a Metric,
    subject: &'a str,
    #[serde(flatten)]
    spread: Spread,
    samples: &'a [Sample],
    ratios: Vec<Ratio<'a>>,
}

#[derive(Serialize)]
struct Ratio<'a> {
    to: &'a str,
    #[serde(flatten)]
    spread: Spread,
}

/// Writes the JSON file, by rename.
///
/// # Errors
/// If it cannot be written.
pub fn write_json(
    path: &Path,
    conditions: &Conditions,
    subjects: &[String],
    results: &Results,
) -> anyhow::Result<()> {
    let rows = rows(subjects, results);
    let document = Document { conditions, subjects, results: rows, failures: results.failures() };
    let new = path.with_extension("json.new");
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&new, serde_json::to_vec_pretty(&document)?)?;
    fs::rename(&new, path)?;
    Ok(())
}

fn rows<'a>(subjects: &'a [String], results: &'a Results) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for metric in results.metrics() {
        for subject in subjects {
            let Some(spread) = results.spread(metric, subject) else { continue };
            let samples = results.samples(metric, subject);
            let others = subjects.iter().filter(|other| *other != subject);
            let ratios = others
                .filter_map(|to| Some(Ratio { to, spread: results.ratio(metric, subject, to)? }));
            rows.push(Row { metric, subject, spread, samples, ratios: ratios.collect() });
        }
    }
    rows
}

/// The table for people.
pub fn table(subjects: &[String], results: &Results) -> String {
    let mut text = String::new();
    let width = subjects.iter().map(String::len).max().unwrap_or(0);
    let mut measurement = "";
    for metric in results.metrics() {
        if metric.measurement != measurement {
            measurement = &metric.measurement;
            let _ = writeln!(text, "\n{measurement}");
        }
        let _ = writeln!(text, "  {}, {}", metric.name, metric.unit);
        for row in rows(subjects, results).iter().filter(|row| row.metric == metric) {
            let earlier = subjects.split(|subject| subject == row.subject).next();
            let line = line(row, earlier.unwrap_or_default());
            let _ = writeln!(text, "    {:width$}  {line}", row.subject);
        }
    }
    for failure in results.failures() {
        let Failure { subject, measurement, reason } = failure;
        let _ = writeln!(text, "\nno result of {subject} for {measurement}: {reason}");
    }
    text
}

/// A row's numbers, and its ratios to the subjects before it.
fn line(row: &Row<'_>, earlier: &[String]) -> String {
    let Spread { median, min, max } = row.spread;
    let mut line = format!("{:>9}", number(median));
    if row.samples.len() > 1 {
        let range = format!("({} .. {})", number(min), number(max));
        let _ = write!(line, " {range:22}");
    }
    for Ratio { to, spread: Spread { median, min, max } } in &row.ratios {
        if earlier.iter().any(|name| name == to) {
            let _ = write!(line, "  {median:.2} of {to}");
            if row.samples.len() > 1 {
                let _ = write!(line, " ({min:.2} .. {max:.2})");
            }
        }
    }
    line.trim_end().to_owned()
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests;
