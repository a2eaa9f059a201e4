//! Side-by-side benchmark of Ambit's data path.
//!
//! Every subject (nothing at all, Ambit, any other proxies) carries the same traffic of the
//! same load programs between a client pod and a server pod on two nodes of the testbed, in
//! alternating rounds of one run. Nothing is asserted; the result is a table and a JSON file.
//!
//! - [`load`]: the load programs, subcommands of the same executable
//! - [`subject`]: what is measured: pods, programs, and where the client dials
//! - [`measure`]: one measurement of one subject
//! - [`usage`]: what a process has used of processor and memory
//! - [`memory`], [`chain`]: the measurements that need a layout of their own
//! - [`envoy`]: fetches one to compare with
//! - [`rounds`]: the order of everything
//! - [`results`]: samples, medians, ratios and their spread
//! - [`report`]: the table and the JSON file

pub mod chain;
pub mod envoy;
pub mod load;
pub mod measure;
pub mod memory;
pub mod report;
pub mod results;
pub mod rounds;
pub mod subject;
pub mod usage;
