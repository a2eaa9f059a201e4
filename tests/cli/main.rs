//! The `ambit` command as a person runs it, against real meshes.
//!
//! - [`said`]: a run of the command, and what it said
//! - [`find`]: which mesh is meant; names, formats, exit codes
//! - [`enroll`], [`proxy`], [`waypoint`]: what it does and shows
//! - [`check`]: faults that are provoked, each with its advice
//! - [`traffic`]: what was carried and refused; [`screen`]: on a real terminal

mod check;
mod enroll;
mod find;
mod proxy;
mod said;
mod screen;
mod traffic;
mod waypoint;
