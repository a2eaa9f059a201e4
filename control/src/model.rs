//! The desired state: objects by key, who refers to whom, and what a change makes dirty.
//!
//! - [`object`]: the objects
//! - [`world`]: all of them, with their indexes
//! - [`dirty`]: what has to be derived again after a change
//! - [`report`]: what the nodes say about their pods

pub mod dirty;
pub mod object;
pub mod report;
pub mod world;
