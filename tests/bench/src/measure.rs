//! One measurement of one subject.

use std::time::Duration;

use anyhow::Context as _;
use testbed::Process;

use crate::load::{Seen, idle};
use crate::results::{Metric, Results};
use crate::subject::Subject;
use crate::usage::resident_kib;

/// What a load program may take beyond its time.
const PATIENCE: Duration = Duration::from_mins(1);
const GIB: f64 = (1_u64 << 30) as f64;

/// What is measured under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// Bytes on some streams.
    Bulk(usize),
    /// Requests on some connections.
    Exchange(usize),
    /// HTTP requests on some connections.
    Http(usize),
    /// New connections, some at a time.
    Connect(usize),
}

impl Measurement {
    /// All of them, in the order of a round.
    pub const ALL: [Self; 7] = [
        Self::Bulk(1),
        Self::Bulk(4),
        Self::Exchange(1),
        Self::Exchange(64),
        Self::Http(1),
        Self::Http(64),
        Self::Connect(32),
    ];

    /// Its name in the results.
    pub fn name(self) -> String {
        let many = |n: usize, what: &str| match n {
            1 => format!("1 {what}"),
            _ => format!("{n} {what}s"),
        };
        match self {
            Self::Bulk(n) => format!("bulk, {}", many(n, "stream")),
            Self::Exchange(n) => format!("requests of 1 KiB, {}", many(n, "connection")),
            Self::Http(n) => format!("HTTP requests of 1 KiB, {}", many(n, "connection")),
            Self::Connect(n) => format!("new connections, {n} at a time"),
        }
    }

    fn arguments(self) -> (&'static str, usize) {
        match self {
            Self::Bulk(n) => ("bulk", n),
            Self::Exchange(n) => ("exchange", n),
            Self::Http(n) => ("http", n),
            Self::Connect(n) => ("connect", n),
        }
    }

    /// Runs it for `duration`.
    ///
    /// # Errors
    /// If the load fails or a program has ended.
    pub async fn run(self, subject: &Subject, duration: Duration) -> anyhow::Result<Measured> {
        let (command, connections) = self.arguments();
        let before = subject.cpu_seconds()?;
        let load = subject
            .load()?
            .args([command, "--to", &subject.dial.to_string()])
            .args(["--connections", &connections.to_string()])
            .args(["--millis", &duration.as_millis().to_string()]);
        let output = load.run(duration + PATIENCE).await?.success()?;
        let after = subject.cpu_seconds()?;
        let seen = serde_json::from_str(output.trim()).context("what the load program printed")?;
        let used = after.iter().zip(before).map(|(after, before)| after - before).collect();
        Ok(Measured { measurement: self, seen, used })
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Measured {
    measurement: Measurement,
    seen: Seen,
    /// Processor seconds of each program.
    used: Vec<f64>,
}

impl Measured {
    /// Adds its numbers to the results.
    pub fn note(&self, results: &mut Results, round: usize, subject: &Subject) {
        self.note_as(&self.measurement.name(), results, round, subject);
    }

    /// Adds them under another name.
    pub fn note_as(&self, name: &str, results: &mut Results, round: usize, subject: &Subject) {
        let mut add = |what: &str, unit, value: f64| {
            results.add(round, &subject.name, Metric::new(name, what, unit), value);
        };
        let Seen { seconds, bytes, requests, p50_us, p99_us } = self.seen;
        let (units, unit) = match self.measurement {
            Measurement::Bulk(_) => {
                add("throughput", "Gbit/s", bytes as f64 * 8.0 / seconds / 1e9);
                (bytes as f64 / GIB, "CPU s per GiB")
            }
            Measurement::Exchange(_) | Measurement::Http(_) | Measurement::Connect(_) => {
                add("rate", "per s", requests as f64 / seconds);
                add("p50", "us", p50_us);
                add("p99", "us", p99_us);
                (requests as f64 / 100_000.0, "CPU s per 100,000")
            }
        };
        for (program, used) in subject.programs.iter().zip(&self.used) {
            add(&program.name, unit, used / units);
        }
    }
}

/// Measures the memory of a subject's programs: idle, and for each idle connection.
///
/// # Errors
/// If the connections cannot be opened.
pub async fn idle_memory(
    subject: &Subject,
    connections: usize,
    results: &mut Results,
) -> anyhow::Result<()> {
    let resident = || -> anyhow::Result<Vec<u64>> {
        subject.programs.iter().map(|program| resident_kib(program.process.pid())).collect()
    };
    let before = resident()?;
    let holder = hold(subject, connections).await?;
    let after = resident()?;
    holder.kill().await?;
    let mut add = |measurement: &str, program: usize, unit, value| {
        let name = subject.programs.get(program).map_or("", |program| &program.name);
        results.add(0, &subject.name, Metric::new(measurement, name, unit), value);
    };
    for (program, kib) in before.iter().enumerate() {
        add("memory, idle", program, "MiB", *kib as f64 / 1024.0);
    }
    let measurement = format!("memory per idle connection, {connections} of them");
    for (program, (before, after)) in before.iter().zip(after).enumerate() {
        let each = after.saturating_sub(*before) as f64 / connections as f64;
        add(&measurement, program, "KiB", each);
    }
    Ok(())
}

/// Connections that stay open until the process is killed.
async fn hold(subject: &Subject, connections: usize) -> anyhow::Result<Process> {
    let holder = subject
        .load()?
        .args(["idle", "--to", &subject.dial.to_string()])
        .args(["--connections", &connections.to_string()]);
    let mut holder = holder.piped().spawn()?;
    holder.logs(idle::OPEN, PATIENCE).await?;
    Ok(holder)
}
