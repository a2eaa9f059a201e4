//! Where the desired state comes from. Whatever the source, the rest of the control plane
//! hears the same [`Update`]s.
//!
//! - [`document`]: text to documents, documents to raw objects
//! - [`read`]: raw objects to the checked ones of the model
//! - [`files`]: which file holds what, and what is in force
//! - [`directory`]: the watched directory
//! - [`kubernetes`]: the watched API server

pub mod directory;
pub mod document;
pub mod files;
pub mod kubernetes;
pub mod read;
pub mod watch;

use serde::Serialize;

use crate::model::object::{Object, ObjectRef};

/// What changed since the last update.
#[derive(Debug, Default)]
pub struct Update {
    /// Objects that are new or different, and those that are gone (`None`).
    pub changes: Vec<(ObjectRef, Option<Object>)>,
    /// Everything that is wrong now, not only what is new.
    pub problems: Vec<Problem>,
    /// Whether the source has a state to serve. Until the first time nothing is served.
    pub synced: bool,
}

/// Something in the source that is not taken as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the directory.
    pub file: String,
    /// Which document of the file, from 1; 0 is the file itself.
    pub document: usize,
    /// The object, as `Kind namespace/name`, as far as it is known.
    pub object: String,
    /// Path of the field, or empty.
    pub field: String,
    /// What was found and what would be right.
    pub message: String,
    /// The object as it is written is not in force: its last good version is, or what stands in
    /// for it, or nothing.
    #[serde(skip)]
    pub refused: bool,
}
