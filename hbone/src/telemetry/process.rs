//! What a process tells about itself on every metrics page.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::brand::METRIC_PREFIX;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    component: String,
    tag: String,
}

/// Adds `istio_build`, CPU time, open files and resident memory, read at each scrape.
///
/// `component` is the program's name, such as `ztunnel`; `tag` its version.
pub fn register(registry: &mut Registry, component: &str, tag: &str) {
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { component: component.to_owned(), tag: tag.to_owned() }).set(1);
    registry.register("istio_build", "Version of this program; the value is 1", build);
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let rows = [
            ("process_open_fds".to_owned(), "Open file descriptors", open_fds()),
            ("process_max_fds".to_owned(), "Limit of open file descriptors", max_fds()),
            (
                format!("{METRIC_PREFIX}_process_resident_memory_bytes"),
                "Resident memory",
                resident_bytes(),
            ),
        ];
        for (name, help, value) in rows {
            // What /proc does not tell is left out; a zero would be a lie.
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        if let Some(used) = cpu_us() {
            let counter = ConstCounter::new(used as f64 / 1e6);
            let (name, help) = ("process_cpu_seconds", "CPU time of all threads");
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// CPU time of all threads of this process, also of those that have ended, in microseconds.
pub fn cpu_us() -> Option<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

/// Files that this process has open, if `/proc` tells.
pub fn open_fds() -> Option<i64> {
    // The listing itself holds one.
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}

fn max_fds() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(i64::MAX),
        number => number.parse().ok(),
    }
}

/// Memory of this process that is resident, if `/proc` tells.
pub fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
