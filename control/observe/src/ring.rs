//! What happened, in files whose sum has a limit; the oldest goes first.
//!
//! Nothing of it is kept in memory. Files are named by their beginning, so that processes which
//! follow each other, or run beside each other for a while, share a directory: each writes its
//! own, and a reader reads all. What cannot be written is lost and counted; it never stops a
//! proxy.

mod raw;
mod segment;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use tracing::warn;

use crate::RESOLUTION_MS;
use crate::pb::ring::{Frame, Named, Row};
use crate::pb::{Cost, Counters, EdgeKey, Event, Incident};
pub use raw::{Part, Tally};
pub use segment::Step;
use segment::Writer;

/// Suffix of our files; others in the directory are left alone.
const SUFFIX: &str = ".ring";
/// A file is ended after so many bytes, and
const SEGMENT_BYTES: u64 = 2 << 20;
/// after so long: what is dropped at a time is then no large part of what is kept.
const SEGMENT_MS: i64 = 20 * 60 * 1000;

/// Where a ring is, and how large it may be.
#[derive(Clone, Debug)]
pub struct RingSettings {
    /// Its directory, made if it is missing; none: what happened is forgotten at once, and only
    /// what happens now can be asked for.
    pub directory: Option<PathBuf>,
    /// Bytes of all files together.
    pub limit: u64,
}

impl RingSettings {
    /// Default of [`RingSettings::limit`]: hours of a busy node.
    pub const LIMIT: u64 = 48 << 20;
}

/// One step, to be kept.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was counted of each edge.
    pub rows: Vec<(Arc<EdgeKey>, Counters)>,
    /// What failed.
    pub incidents: Vec<Incident>,
    /// What changed.
    pub events: Vec<Event>,
    /// What the proxy cost.
    pub cost: Option<Cost>,
    /// Edges that were folded into "other".
    pub folded: u64,
    /// Incidents that were not kept one by one.
    pub dropped: u64,
}

/// The ring. Its methods read and write files: not for threads that may not wait.
#[derive(Debug)]
pub struct Ring {
    settings: RingSettings,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    writer: Writer<File>,
    began_ms: i64,
}

impl Ring {
    /// A ring over what its directory has already.
    pub fn open(settings: RingSettings) -> Self {
        if let Some(directory) = &settings.directory {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            if let Err(error) = made {
                let directory = directory.display();
                warn!(%directory, %error, "what happens here cannot be kept; set OBSERVE_DIR");
            }
        }
        Self { settings, current: Mutex::default() }
    }

    /// Keeps what happened in the step that began at `at_ms`.
    ///
    /// # Errors
    /// If it could not be written; it is lost then, and the next step begins another file.
    pub fn append(&self, at_ms: i64, batch: Batch) -> io::Result<()> {
        let Some(directory) = &self.settings.directory else { return Ok(()) };
        let mut current = self.current();
        let over = |c: &Current| {
            c.writer.written() >= self.segment_bytes()
                || !(c.began_ms..c.began_ms + SEGMENT_MS).contains(&at_ms)
        };
        let mut open = match current.take().filter(|current| !over(current)) {
            Some(open) => open,
            None => {
                self.make_room(directory, self.segment_bytes())?;
                Current { writer: Writer::new(create(directory, at_ms)?)?, began_ms: at_ms }
            }
        };
        let frame = frame(&mut open.writer, batch);
        open.writer.append(at_ms, frame)?;
        *current = Some(open);
        Ok(())
    }

    /// Reads all steps from `from_ms` on and before `to_ms`, file by file.
    pub fn read(&self, from_ms: i64, to_ms: i64, mut visit: impl FnMut(Step<'_>)) {
        for (n, file) in self.files().into_iter().enumerate() {
            if file.began_ms >= to_ms || file.ended_ms.saturating_add(RESOLUTION_MS) < from_ms {
                continue;
            }
            // It may be gone by now, as the oldest is.
            let Ok(bytes) = fs::read(&file.path) else { continue };
            if !segment::read((n, &bytes), (from_ms, to_ms), &mut visit) {
                let path = file.path.display();
                warn!(%path, "a file of what happened is damaged; the rest of it is left out");
            }
        }
    }

    /// Since when something is kept.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.files().first().map(|file| file.began_ms)
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.files().iter().map(|file| file.bytes).sum()
    }

    /// Bytes that it may have.
    pub fn limit(&self) -> u64 {
        self.settings.limit
    }

    /// How large a file gets: of a small ring a part, so that dropping one is not dropping all.
    fn segment_bytes(&self) -> u64 {
        SEGMENT_BYTES.min(self.settings.limit / 4)
    }

    /// Removes the oldest files until `more` bytes fit.
    fn make_room(&self, directory: &Path, more: u64) -> io::Result<()> {
        let files = list(directory);
        let mut size: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if size + more <= self.settings.limit {
                break;
            }
            fs::remove_file(&file.path)?;
            size -= file.bytes;
        }
        Ok(())
    }

    fn files(&self) -> Vec<Kept> {
        self.settings.directory.as_deref().map(list).unwrap_or_default()
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        // What a panic left is a file that is not used again.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is there.
struct Kept {
    path: PathBuf,
    began_ms: i64,
    ended_ms: i64,
    bytes: u64,
}

/// Our files, the oldest first.
fn list(directory: &Path) -> Vec<Kept> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let kept = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let (began, _) = name.to_str()?.strip_suffix(SUFFIX)?.split_once('-')?;
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let ended = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Kept {
            path: entry.path(),
            began_ms: began.parse().ok()?,
            ended_ms: i64::try_from(ended.as_millis()).ok()?,
            bytes: meta.len(),
        })
    });
    let mut kept: Vec<Kept> = kept.collect();
    kept.sort_by(|a, b| (a.began_ms, &a.path).cmp(&(b.began_ms, &b.path)));
    kept
}

/// A new file. Names of pods and paths of requests are for nobody else.
fn create(directory: &Path, at_ms: i64) -> io::Result<File> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for n in 0..64 {
        let path = directory.join(format!("{at_ms:015}-{n:02}{SUFFIX}"));
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            other => return other,
        }
    }
    Err(last)
}

fn frame<W: Write>(writer: &mut Writer<W>, batch: Batch) -> Frame {
    let mut frame = Frame {
        incidents: batch.incidents,
        events: batch.events,
        cost: batch.cost,
        folded: batch.folded,
        dropped: batch.dropped,
        ..Frame::default()
    };
    for (key, counters) in batch.rows {
        let (id, new) = writer.name(&key);
        if new {
            frame.keys.push(Named { id, key: Some((*key).clone()) });
        }
        frame.rows.push(Row { id, counters: Some(counters) });
    }
    frame
}

#[cfg(test)]
mod tests;
