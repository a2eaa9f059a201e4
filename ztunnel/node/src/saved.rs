//! What the agent remembers across its own restart: the pods that it touched and where their
//! network namespaces are. One JSON file in the run directory, replaced atomically.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hbone::netns::NetnsId;
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::flows::Flow;
use crate::handle::Place;
use crate::pod::{Pod, Uid};

/// Name of the file in the run directory.
pub const FILE: &str = "pods.json";

/// Longest file that is read, in bytes: what [`crate::source::control::MAX_PODS`] pods need.
const MAX_FILE: u64 = 64 << 20;

/// How far the agent had come with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Its namespace is known, and untouched.
    Known,
    /// Some steps of the enrolment may have been done.
    Entering,
    /// It takes part.
    Enrolled,
    /// Its enrolment is being withdrawn.
    Draining,
}

/// One remembered pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPod {
    /// Its facts as they were.
    pub pod: Pod,
    /// How far it was.
    pub stage: Stage,
    /// Where its namespace was opened.
    pub path: PathBuf,
    /// Device of the namespace.
    pub dev: u64,
    /// Inode of the namespace.
    pub inode: u64,
    /// Connections older than the enrolment.
    pub older: BTreeSet<Flow>,
}

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The system refuses.
    #[error("{path:?}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what an agent writes.
    #[error("{path:?} is no list of pods; remove it to start without it")]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The file and its content. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Saved(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    pods: Mutex<BTreeMap<Uid, SavedPod>>,
}

impl SavedPod {
    /// A pod at `place`.
    pub fn new(pod: Pod, stage: Stage, place: &Place, older: BTreeSet<Flow>) -> Self {
        let NetnsId { dev, inode } = place.netns.id();
        Self { pod, stage, path: place.path.clone(), dev, inode, older }
    }

    /// Device and inode that its namespace must have.
    pub fn id(&self) -> NetnsId {
        NetnsId { dev: self.dev, inode: self.inode }
    }
}

impl Saved {
    /// Reads what a former agent left in `run_dir`; nothing is not an error.
    pub fn load(run_dir: &Path) -> Result<Self, SavedError> {
        let path = run_dir.join(FILE);
        let list = match read(&path) {
            Ok(bytes) => serde_json::from_slice::<Vec<SavedPod>>(&bytes)
                .map_err(|source| SavedError::Content { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(SavedError::File { path, source }),
        };
        let pods = list.into_iter().map(|saved| (saved.pod.uid.clone(), saved)).collect();
        Ok(Self(Arc::new(Inner { path, pods: Mutex::new(pods) })))
    }

    /// All remembered pods.
    pub fn all(&self) -> Vec<SavedPod> {
        let pods = self.0.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.values().cloned().collect()
    }

    /// Remembers a pod as it is now.
    pub async fn put(&self, saved: SavedPod) -> Result<(), SavedError> {
        self.change(move |pods| pods.insert(saved.pod.uid.clone(), saved)).await
    }

    /// Forgets a pod.
    pub async fn remove(&self, uid: &Uid) -> Result<(), SavedError> {
        let uid = uid.clone();
        self.change(move |pods| pods.remove(&uid)).await
    }

    /// Changes the table and the file, in this order for all who do it at once.
    async fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<Uid, SavedPod>) -> Option<SavedPod> + Send + 'static,
    ) -> Result<(), SavedError> {
        let inner = self.0.clone();
        let work = move || {
            let mut pods = inner.pods.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut pods);
            let list: Vec<_> = pods.values().collect();
            let failed = |source| SavedError::File { path: inner.path.clone(), source };
            let bytes = serde_json::to_vec(&list)
                .map_err(|source| SavedError::Content { path: inner.path.clone(), source })?;
            atomic::replace(&inner.path, &bytes).map_err(failed)
        };
        let path = self.0.path.clone();
        let died = |error| SavedError::File { path, source: io::Error::other(error) };
        tokio::task::spawn_blocking(work).await.map_err(died)?
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
