//! The watched directory of YAML files.
//!
//! Events come from the kernel; a look at all names, sizes and times once a second finds what
//! they missed. Only a file whose stamp changed is read.

mod last_good;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::sync::mpsc;
use tracing::{info, warn};

use self::last_good::LastGood;
use self::walk::{Stamp, Walk, walk};
use super::files::{Changes, Files, whole_file};
use super::read::Context;
use super::watch::Watch;
use super::{Problem, Update};
use crate::limits;
use crate::state::{StateDir, StateError};

/// The directory and what was last seen of it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    files: Files,
    stamps: BTreeMap<String, Stamp>,
    last_good: LastGood,
    /// What is wrong with the directory itself.
    own: Vec<Problem>,
    reported: BTreeSet<String>,
}

impl Directory {
    /// Begins with what was in force before a restart.
    ///
    /// # Errors
    /// The state directory cannot be used.
    pub fn open(path: &Path, context: Context, state: &StateDir) -> Result<Self, StateError> {
        let last_good = LastGood::open(state)?;
        let mut files = Files::new(context);
        for (file, raw) in last_good.load() {
            files.restore(&file, &raw);
        }
        Ok(Self {
            path: path.to_owned(),
            files,
            stamps: BTreeMap::new(),
            last_good,
            own: Vec::new(),
            reported: BTreeSet::new(),
        })
    }

    /// Everything that is in force.
    pub fn all(&self) -> Update {
        let mut update = self.files.all();
        update.problems.extend(self.own.iter().cloned());
        update
    }

    /// Looks at the directory once. `None` if nothing changed. Blocks on the disk.
    pub fn look(&mut self, watch: &Watch) -> Option<Update> {
        let walk = walk(&self.path);
        for folder in &walk.folders {
            watch.add(folder);
        }
        let before = (self.own.clone(), self.files.problems());
        let (changes, touched) = self.take(&walk);
        for file in touched {
            let raw = self.files.raw(&file);
            if let Err(error) = self.last_good.store(&file, &raw) {
                warn!(%error, cause = ?error.source, "last good state of a file not kept");
            }
        }
        let problems = self.files.problems();
        if changes.is_empty() && before.0 == self.own && before.1 == problems {
            return None;
        }
        let problems = problems.into_iter().chain(self.own.iter().cloned()).collect();
        self.report(&problems);
        Some(Update { changes, problems, synced: !self.files.is_empty() })
    }

    /// Applies what a walk found; returns what changed and in which files.
    fn take(&mut self, walk: &Walk) -> (Changes, BTreeSet<String>) {
        self.own.clone_from(&walk.problems);
        let (mut changes, mut touched) = (Changes::new(), BTreeSet::new());
        if walk.refused {
            return (changes, touched);
        }
        if walk.files.is_empty() && !self.files.is_empty() {
            let message = format!(
                "has no YAML file any more; its {} objects stay in force until there is one",
                self.files.len()
            );
            self.own.push(whole_file("", message));
            return (changes, touched);
        }
        for (file, stamp) in &walk.files {
            if self.stamps.get(file) != Some(stamp)
                && let Some(more) = self.read(file, *stamp)
            {
                changes.extend(more);
                touched.insert(file.clone());
            }
        }
        let gone: Vec<String> = self
            .files
            .names()
            .filter(|f| !walk.files.contains_key(*f) && !walk.is_hidden(f))
            .map(str::to_owned)
            .collect();
        for file in gone {
            self.stamps.remove(&file);
            changes.extend(self.files.remove(&file));
            touched.insert(file);
        }
        (squash(changes), touched)
    }

    /// Reads one file. `None` if it changed while it was read: the next look finds it rested.
    fn read(&mut self, file: &str, stamp: Stamp) -> Option<Changes> {
        let path = self.path.join(file);
        if stamp.size > limits::MAX_FILE_BYTES {
            self.stamps.insert(file.to_owned(), stamp);
            let message = format!(
                "has {} bytes, more than MAX_FILE_BYTES ({}); what it last held stays in force",
                stamp.size,
                limits::MAX_FILE_BYTES
            );
            return Some(self.files.fail(file, message));
        }
        let read = read_text(&path);
        if Stamp::of(&path).ok() != Some(stamp) {
            return None;
        }
        self.stamps.insert(file.to_owned(), stamp);
        Some(match read {
            Ok(text) => self.files.set(file, &text),
            Err(error) => {
                let message = format!("cannot be read ({error}); what it last held stays in force");
                // An error may pass without a change of the file.
                self.stamps.remove(file);
                self.files.fail(file, message)
            }
        })
    }

    /// Logs what is newly wrong.
    fn report(&mut self, problems: &Vec<Problem>) {
        let mut now = BTreeSet::new();
        for problem in problems {
            let key = format!("{problem:?}");
            if !self.reported.contains(&key) {
                warn!(
                    file = problem.file,
                    document = problem.document,
                    object = problem.object,
                    field = problem.field,
                    reason = problem.message,
                    "not taken as written"
                );
            }
            now.insert(key);
        }
        self.reported = now;
    }

    /// When the youngest change was, if it is too young to be trusted.
    fn unrested(&self) -> bool {
        let now = SystemTime::now();
        let young = |s: &Stamp| {
            s.modified.is_some_and(|m| now.duration_since(m).is_ok_and(|age| age < limits::SETTLE))
        };
        let walk = walk(&self.path);
        walk.files.iter().any(|(file, stamp)| self.stamps.get(file) != Some(stamp) && young(stamp))
    }
}

/// Reads at most the limit, whatever the stamp said.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limits::MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
}

/// The last word on each object: it may have moved from one file to another.
fn squash(changes: Changes) -> Changes {
    let last: BTreeMap<_, _> = changes.into_iter().collect();
    last.into_iter().collect()
}

/// Watches until `updates` is closed: first everything in force, then every change, well
/// within a second.
pub async fn run(directory: Directory, updates: mpsc::Sender<Update>) {
    let watch = std::sync::Arc::new(Watch::start());
    let (Some(mut directory), _) = step(directory, &watch).await else { return };
    let first = directory.all();
    info!(objects = first.changes.len(), problems = first.problems.len(), "directory read");
    if updates.send(first).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep(limits::POLL) => {}
            () = updates.closed() => return,
        }
        let (back, update) = step(directory, &watch).await;
        let Some(back) = back else { return };
        directory = back;
        if let Some(update) = update {
            info!(
                changes = update.changes.len(),
                problems = update.problems.len(),
                "directory changed"
            );
            if updates.send(update).await.is_err() {
                return;
            }
        }
    }
}

/// One look on a blocking thread, once the files have rested.
async fn step(
    mut directory: Directory,
    watch: &std::sync::Arc<Watch>,
) -> (Option<Directory>, Option<Update>) {
    let watch = watch.clone();
    let work = tokio::task::spawn_blocking(move || {
        // Bounded: a file that never rests is read as it is.
        for _ in 0..5 {
            if !directory.unrested() {
                break;
            }
            std::thread::sleep(limits::SETTLE);
        }
        let update = directory.look(&watch);
        (directory, update)
    });
    match work.await {
        Ok((directory, update)) => (Some(directory), update),
        // The process is going down, or a defect: the last good state stays served.
        Err(error) => {
            warn!(%error, "the directory is no longer read");
            (None, None)
        }
    }
}
