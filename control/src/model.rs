//! The desired state: objects by key, who refers to whom, and what a change makes dirty.
//!
//! - [`object`]: the objects; [`entry`]: those of what runs outside the cluster
//! - [`world`]: all of them, with their indexes
//! - [`vips`]: addresses that hosts were given
//! - [`dirty`]: what has to be derived again after a change
//! - [`report`]: what the nodes say about their pods

pub mod dirty;
pub mod entry;
pub mod object;
pub mod report;
pub mod vips;
pub mod world;
