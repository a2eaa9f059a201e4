//! How a pod's network namespace is opened: by the path that the CNI call names, or found
//! among the running processes.
//!
//! - [`open`]: a path that somebody else wrote
//! - [`search`]: by the addresses that the namespace holds

pub mod open;
pub mod search;

use std::path::PathBuf;
use std::sync::Arc;

use hbone::netns::Netns;

pub use open::{OpenError, open};

/// A pod's namespace, and where it was opened.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace.
    pub netns: Arc<Netns>,
    /// Its path at that time: to open it again after a restart, never to identify it.
    pub path: PathBuf,
}

#[cfg(test)]
mod tests;
