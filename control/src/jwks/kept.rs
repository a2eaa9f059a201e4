//! Key sets that outlive a restart: an issuer that is away then must not lock its users out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::set::KeySet;
use super::url::KeySetUrl;
use crate::state::StateDir;

const FILE: &str = "key-sets.json";

/// The file with the last good key sets, by URL.
#[derive(Clone, Debug)]
pub struct Kept {
    state: StateDir,
}

impl Kept {
    /// In a state directory.
    pub fn new(state: StateDir) -> Self {
        Self { state }
    }

    /// What was kept; nothing if it cannot be read, since it will be fetched anyway.
    pub fn load(&self) -> BTreeMap<KeySetUrl, Arc<KeySet>> {
        let bytes = match self.state.read(FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return BTreeMap::new(),
            Err(error) => {
                warn!(%error, "kept key sets cannot be read");
                return BTreeMap::new();
            }
        };
        let read: BTreeMap<String, KeySet> = match serde_json::from_slice(&bytes) {
            Ok(read) => read,
            Err(error) => {
                warn!(%error, "kept key sets cannot be read");
                return BTreeMap::new();
            }
        };
        let one = |(url, set): (String, KeySet)| Some((KeySetUrl::new(&url).ok()?, Arc::new(set)));
        read.into_iter().filter_map(one).collect()
    }

    /// Keeps these and no others.
    pub async fn store(&self, sets: BTreeMap<String, Arc<KeySet>>) {
        let state = self.state.clone();
        let write = move || {
            let plain: BTreeMap<&String, &KeySet> =
                sets.iter().map(|(url, set)| (url, &**set)).collect();
            let bytes = serde_json::to_vec(&plain).unwrap_or_default();
            if let Err(error) = state.write(FILE, &bytes, 0o600) {
                warn!(%error, "key sets not kept");
            }
        };
        // A task that is aborted here leaves the old file.
        let _ = tokio::task::spawn_blocking(write).await;
    }
}

#[cfg(test)]
mod tests;
