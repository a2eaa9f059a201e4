//! What a person or a program reads: tables, JSON, YAML, colours, progress.
//!
//! - [`escape`]: names from the mesh are data, also for a terminal
//! - [`style`]: colours, where they are wanted
//! - [`table`]: aligned columns
//! - [`format`]: `-o table|wide|json|yaml`
//! - [`units`]: bytes, durations, ages
//! - [`progress`]: a sign of life on stderr

pub(crate) mod escape;
pub(crate) mod format;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod units;

pub(crate) use escape::clean;
pub(crate) use format::{Listing, Show};
pub(crate) use style::Style;
pub(crate) use table::{Cell, Column, Table};
