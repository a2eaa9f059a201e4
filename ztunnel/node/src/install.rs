//! Puts the CNI plugin on the node, and keeps it there.
//!
//! The plugin stands last in a chain of its own file, which is a copy of the file that the
//! node's network brings, and sorts before it: so nobody's file is edited, and one that its
//! owner writes again does not take the plugin away, not even for a moment. The copy follows its
//! original. It stays when the agent stops, also over a reboot: new pods then wait instead of
//! starting unprotected. It goes with the agent's DaemonSet.
//!
//! - [`chain`]: one configuration from another, pure

pub mod chain;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::chain::ChainError;
use crate::metrics::AgentMetrics;
use crate::plugin;

/// How often the node is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Largest configuration that is read, bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// Endings of files that a runtime reads.
const ENDINGS: [&str; 3] = ["conflist", "conf", "json"];

/// Where things are on the node, as the agent sees them.
#[derive(Clone, Debug)]
pub struct Places {
    /// The plugin that comes with the agent.
    pub program: PathBuf,
    /// The runtime's directory of plugins.
    pub programs: PathBuf,
    /// The runtime's directory of configurations.
    pub configs: PathBuf,
    /// Name of our file there; it must sort before every other one.
    pub file: String,
    /// What the plugin is told: the agent's run directory, and who is not asked about.
    pub entry: chain::Entry,
}

/// Why the plugin is not in force.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The disk.
    #[error("{path:?}")]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No network yet.
    #[error("no CNI configuration in {0:?}; install the cluster's network first")]
    NoNetwork(PathBuf),
    /// The runtime would take another file.
    #[error("{0:?} sorts before our file and would be taken instead; set --cni-conf-name")]
    NotFirst(PathBuf),
    /// The network's file cannot be chained to.
    #[error("{path:?}")]
    Chain {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ChainError,
    },
}

/// Keeps the plugin in force until `stop`; `ready` says whether it is.
pub async fn keep(
    places: Places,
    ready: watch::Sender<bool>,
    metrics: AgentMetrics,
    stop: CancellationToken,
) {
    let mut said = String::new();
    loop {
        let looked = places.clone();
        let found = tokio::task::spawn_blocking(move || looked.ensure()).await;
        let Ok(found) = found else { return };
        let good = found.is_ok();
        match found {
            Ok(false) => said.clear(),
            Ok(true) => {
                said.clear();
                metrics.installed("SUCCESS");
                info!(file = %places.config().display(), "CNI plugin installed");
            }
            Err(error) => {
                let text = crate::chain(&error);
                // Once for each reason: it is looked at every second.
                if text != said {
                    metrics.installed("FAILURE");
                    warn!(reason = text, "CNI plugin not installed");
                    said = text;
                }
            }
        }
        metrics.install_ready(good);
        ready.send_if_modified(|old| std::mem::replace(old, good) != good);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Places {
    /// Brings the node to what it should be; true if something was missing.
    ///
    /// # Errors
    /// See [`InstallError`].
    pub fn ensure(&self) -> Result<bool, InstallError> {
        let copied = self.copy_program()?;
        let original = self.original()?;
        let failed = |source| InstallError::Chain { path: original.clone(), source };
        let wanted = chain::with_plugin(&read(&original)?, &self.entry).map_err(failed)?;
        let written = replace(&self.config(), &wanted, 0o600)?;
        Ok(copied || written)
    }

    /// Takes everything away again.
    ///
    /// # Errors
    /// [`InstallError::File`]
    pub fn remove(&self) -> Result<(), InstallError> {
        // The configuration first: without its program it would fail every start.
        for path in [self.config(), self.programs.join(plugin::NAME)] {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(InstallError::File { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Our file.
    pub fn config(&self) -> PathBuf {
        self.configs.join(&self.file)
    }

    fn copy_program(&self) -> Result<bool, InstallError> {
        let failed = |source| InstallError::File { path: self.program.clone(), source };
        let program = std::fs::read(&self.program).map_err(failed)?;
        replace(&self.programs.join(plugin::NAME), &program, 0o755)
    }

    /// The file that the runtime would take without us: the first by name.
    fn original(&self) -> Result<PathBuf, InstallError> {
        let failed = |source| InstallError::File { path: self.configs.clone(), source };
        let entries = std::fs::read_dir(&self.configs).map_err(failed)?;
        let paths = entries.flatten().map(|entry| entry.path());
        let others = paths.filter(|path| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| ENDINGS.contains(&ending)) && *path != self.config()
        });
        let first = others.min().ok_or_else(|| InstallError::NoNetwork(self.configs.clone()))?;
        if first < self.config() {
            return Err(InstallError::NotFirst(first));
        }
        Ok(first)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InstallError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(MAX_CONFIG).read_to_end(&mut bytes));
    read.map_err(|source| InstallError::File { path: path.into(), source })?;
    Ok(bytes)
}

/// Replaces a file whose content or mode is another one; true if it was. A runtime sees the
/// old file or the new one, never a part.
fn replace(path: &Path, content: &[u8], mode: u32) -> Result<bool, InstallError> {
    let failed = |source| InstallError::File { path: path.into(), source };
    let same_mode = |file: &Path| {
        std::fs::symlink_metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o777 == mode)
    };
    if same_mode(path) && std::fs::read(path).is_ok_and(|found| found == content) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A name that no runtime reads.
    let temporary = path.with_extension("ambit-tmp");
    let _ = std::fs::remove_file(&temporary);
    let written = std::fs::write(&temporary, content)
        .and_then(|()| std::fs::set_permissions(&temporary, PermissionsExt::from_mode(mode)))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map(|()| true).map_err(failed)
}

#[cfg(test)]
mod tests;
