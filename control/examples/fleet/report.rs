//! What was measured, for a person and as JSON.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::ask::{Question, Times, quantile};
use crate::control::Memory;
use crate::plan::{PODS, Size};

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    nodes: usize,
    workloads: usize,
    pods: usize,
    edges: usize,
    waypoints: usize,
    hours: i64,
    processors: usize,
    pub(crate) disk_bytes: u64,
    pub(crate) memory: Memories,
    pub(crate) measured: Vec<Measured>,
    pub(crate) alone: Vec<Alone>,
    /// What a browser saw, if one looked.
    pub(crate) browser: serde_json::Value,
}

/// Memory of control: ready, with all proxies attached, and after all questions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memories {
    ready: Memory,
    pub(crate) attached: Memory,
    pub(crate) after: Memory,
}

/// One question. Times are milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    question: String,
    viewers: usize,
    times: usize,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    bytes: usize,
    missing: usize,
    /// CPU time of control for one request.
    control_cpu_ms: f64,
    /// CPU time of all nodes, and of who asked, for one request.
    nodes_cpu_ms: f64,
}

/// What one node needs for its part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alone {
    window: &'static str,
    p50_ms: f64,
    p99_ms: f64,
}

impl Report {
    pub(crate) fn new(size: Size, hours: i64, ready: Memory) -> Self {
        Self {
            nodes: size.nodes,
            workloads: size.workloads,
            pods: size.workloads * PODS,
            edges: size.edges,
            waypoints: size.waypoints,
            hours,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            disk_bytes: 0,
            memory: Memories { ready, attached: ready, after: ready },
            measured: Vec::new(),
            alone: Vec::new(),
            browser: serde_json::Value::Null,
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}

impl Measured {
    pub(crate) fn new(
        of: &Question,
        viewers: usize,
        times: &Times,
        control: f64,
        nodes: f64,
    ) -> Self {
        let each = |seconds: f64| seconds * 1_000.0 / times.taken.len().max(1) as f64;
        Self {
            question: of.name.clone(),
            viewers,
            times: times.taken.len(),
            p50_ms: times.quantile(0.5),
            p90_ms: times.quantile(0.9),
            p99_ms: times.quantile(0.99),
            bytes: times.bytes,
            missing: times.missing,
            control_cpu_ms: each(control),
            nodes_cpu_ms: each(nodes),
        }
    }
}

impl Alone {
    pub(crate) fn new(window: &'static str, taken: &[Duration]) -> Self {
        Self { window, p50_ms: quantile(taken, 0.5), p99_ms: quantile(taken, 0.99) }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} nodes, {} waypoints, {} workloads, {} edges, {} h in rings of {:.1} MiB in all; {} processors",
            self.nodes,
            self.waypoints,
            self.workloads,
            self.edges,
            self.hours,
            mib(self.disk_bytes),
            self.processors
        )?;
        writeln!(
            f,
            "{:<40} {:>7} {:>8} {:>8} {:>8} {:>9} {:>12} {:>12} {:>7}",
            "question, window",
            "viewers",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "KiB",
            "control ms",
            "nodes ms",
            "missing"
        )?;
        for m in &self.measured {
            writeln!(
                f,
                "{:<40} {:>7} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>12.1} {:>12.1} {:>7}",
                m.question,
                m.viewers,
                m.p50_ms,
                m.p90_ms,
                m.p99_ms,
                m.bytes as f64 / 1_024.0,
                m.control_cpu_ms,
                m.nodes_cpu_ms,
                m.missing
            )?;
        }
        for alone in &self.alone {
            writeln!(
                f,
                "one node's part of the mesh, {}: p50 {:.2} ms, p99 {:.2} ms",
                alone.window, alone.p50_ms, alone.p99_ms
            )?;
        }
        let Memories { ready, attached, after } = &self.memory;
        writeln!(
            f,
            "memory of control: {:.1} MiB ready, {:.1} MiB with all attached, {:.1} MiB after; peak {:.1} MiB",
            mib(ready.resident),
            mib(attached.resident),
            mib(after.resident),
            mib(after.peak)
        )?;
        if !self.browser.is_null() {
            writeln!(f, "browser: {}", self.browser)?;
        }
        Ok(())
    }
}
