//! Waypoints that a supervisor before us left running and that nobody wants any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::super::SupervisorTiming;
use super::super::process::Left;
use super::super::sandbox;
use crate::pod::Uid;

/// What follows a UID in the name of a record.
const ENDING: &str = "process";

/// Where the record of a waypoint is.
pub(super) fn record(directory: &Path, uid: &Uid) -> PathBuf {
    directory.join(format!("{uid}.{ENDING}"))
}

/// Ends what runs and is not in `wanted`, and removes what is left of it.
pub(super) async fn end(directory: PathBuf, wanted: BTreeSet<Uid>) {
    for uid in recorded(&directory) {
        if wanted.contains(&uid) {
            continue;
        }
        let path = record(&directory, &uid);
        if let Some(left) = Left::find(&path) {
            info!(pod.uid = %uid, pid = left.pid(), "waypoint of a former supervisor ends");
            if let Err(error) = left.end(SupervisorTiming::default().drain).await {
                warn!(pod.uid = %uid, pid = left.pid(), %error, "it cannot be ended");
                continue;
            }
        }
        sandbox::remove_of(&uid).await;
        for path in [path, directory.join(uid.as_str())] {
            // What is not there needs no removal.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn recorded(directory: &Path) -> Vec<Uid> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let uids = names.filter_map(|name| Some(name.strip_suffix(ENDING)?.strip_suffix('.')?.into()));
    uids.collect()
}

#[cfg(test)]
mod tests;
