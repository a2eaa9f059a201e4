//! Which files there are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::limits;
use crate::source::Problem;
use crate::source::files::whole_file;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Follows symbolic links.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    fn from(meta: &std::fs::Metadata) -> Self {
        Self {
            size: meta.len(),
            modified: meta.modified().ok(),
            inode: meta.ino(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// What a look at the directory found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Relative name to stamp, sorted.
    pub(super) files: BTreeMap<String, Stamp>,
    /// Folders to watch.
    pub(super) folders: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
    /// The directory as a whole cannot be believed: keep everything.
    pub(super) refused: bool,
    /// Relative names of folders that could not be read, and of files without stamp.
    unreadable: BTreeSet<String>,
}

impl Walk {
    /// Whether a file may be there although it was not found.
    pub(super) fn is_hidden(&self, file: &str) -> bool {
        self.unreadable.iter().any(|f| {
            file.strip_prefix(f.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn problem(&mut self, file: &str, message: String) {
        self.problems.push(whole_file(file, message));
    }
}

/// Looks at `root` and below.
pub(super) fn walk(root: &Path) -> Walk {
    let mut walk = Walk::default();
    if let Err(error) = folder(root, "", 0, &mut walk) {
        let message = format!(
            "the directory {} cannot be read ({error}); what it last held stays in force",
            root.display()
        );
        walk.problem("", message);
        walk.refused = true;
    }
    walk
}

fn folder(path: &Path, relative: &str, depth: usize, walk: &mut Walk) -> io::Result<()> {
    let entries = std::fs::read_dir(path)?;
    walk.folders.push(path.to_owned());
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Hidden names are editors' and the kubelet's: they hold nothing of the user's.
        if name.starts_with('.') || walk.refused {
            continue;
        }
        let relative = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        self::entry(&entry.path(), relative, depth, walk);
    }
    Ok(())
}

fn entry(path: &Path, relative: String, depth: usize, walk: &mut Walk) {
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        // Removed since the listing.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return,
        Err(error) => {
            if is_yaml {
                let message = format!("cannot be looked at ({error}); what it last held stays");
                walk.problem(&relative, message);
            }
            walk.unreadable.insert(relative);
            return;
        }
    };
    if meta.is_dir() {
        if depth + 1 >= limits::MAX_DEPTH {
            let message = format!("is deeper than MAX_DEPTH ({}); not read", limits::MAX_DEPTH);
            walk.problem(&relative, message);
            walk.unreadable.insert(relative);
        } else if let Err(error) = folder(path, &relative, depth + 1, walk) {
            let message = format!("cannot be read ({error}); what it last held stays in force");
            walk.problem(&relative, message);
            walk.unreadable.insert(relative);
        }
    } else if is_yaml && meta.is_file() {
        if walk.files.len() >= limits::MAX_FILES {
            let message = format!(
                "there are more than MAX_FILES ({}) files; the last good state stays in force",
                limits::MAX_FILES
            );
            walk.problem("", message);
            walk.refused = true;
        }
        walk.files.insert(relative, Stamp::from(&meta));
    }
}
