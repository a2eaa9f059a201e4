//! Logs and metrics as the contracts name them, the same in every program
//! (docs/wire.md, "Telemetry").
//!
//! - [`log`]: set-up, the two line formats, levels that change at run time
//! - [`labels`]: the label set of traffic metrics, in the order that dashboards know
//! - [`process`]: open files, memory, build information

pub mod labels;
pub mod log;
pub mod process;

pub use labels::{Locality, Reporter, ResponseFlag, ServiceLabels, TrafficLabels, WorkloadLabels};
pub use log::{LogFormat, Logging};

#[cfg(test)]
mod tests;
