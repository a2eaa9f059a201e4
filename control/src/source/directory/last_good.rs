//! What each file last held, kept for the next start.

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::state::{StateDir, StateError, digest};

const FOLDER: &str = "last-good";

/// The folder of the state directory.
#[derive(Debug)]
pub(super) struct LastGood {
    state: StateDir,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    file: String,
    objects: Vec<String>,
}

impl LastGood {
    pub(super) fn open(state: &StateDir) -> Result<Self, StateError> {
        state.folder(FOLDER)?;
        Ok(Self { state: state.clone() })
    }

    /// Keeps what `file` holds; nothing removes the entry.
    pub(super) fn store(&self, file: &str, raw: &[&str]) -> Result<(), StateError> {
        let name = name(file);
        if raw.is_empty() {
            return match std::fs::remove_file(self.state.path(&name)) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    Err(StateError { what: "remove", path: self.state.path(&name), source })
                }
                _ => Ok(()),
            };
        }
        let objects = raw.iter().map(|&r| r.to_owned()).collect();
        let kept = Kept { file: file.to_owned(), objects };
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        if self.state.read(&name)?.as_deref() == Some(&bytes[..]) {
            return Ok(());
        }
        self.state.write(&name, &bytes, 0o600)
    }

    /// Everything kept. An entry that cannot be read is passed over and logged.
    pub(super) fn load(&self) -> Vec<(String, Vec<String>)> {
        let mut out = Vec::new();
        let Ok(entries) = std::fs::read_dir(self.state.path(FOLDER)) else { return out };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let kept = std::fs::read(&path).ok();
            let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
            if let Some(kept) = kept {
                out.push((kept.file, kept.objects));
            } else {
                warn!(path = %path.display(), "last good state of a file is unreadable");
            }
        }
        out.sort();
        out
    }
}

fn name(file: &str) -> String {
    format!("{FOLDER}/{}.json", digest::hex(file.as_bytes()))
}
