//! What a control plane would say of objects, by control's own code, where none runs.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use anyhow::Context as _;
use control::deploy::Deployer;
use control::engine::{Engine, Tables};
use control::model::object::Key;
use control::model::world::{Site, World};
use control::source::Update;
use control::source::files::Files;
use control::source::read::Context;
use control::status::Board;

use crate::mesh::control::StatusReport;
use crate::mesh::{Objects, manifests};

/// The default of control's `--system-namespace`.
const SYSTEM: &str = "istio-system";

/// Reads the files of a directory, or the objects of a cluster, as control does at its start.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn report(
    objects: &Objects,
    directory: Option<&PathBuf>,
) -> anyhow::Result<StatusReport> {
    let kubernetes = directory.is_none();
    let context = Context { mesh_config: Key::new(SYSTEM, "istio"), has_status: kubernetes };
    let mut files = Files::new(context);
    let mut changes = Vec::new();
    match directory {
        Some(directory) => {
            for path in manifests::files(directory)? {
                let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
                let text = fs::read(&path).with_context(|| path.display().to_string())?;
                changes.extend(files.set(&name, &String::from_utf8_lossy(&text)));
            }
        }
        None => {
            for object in &objects.all {
                changes.extend(files.set(&object.title(), &object.value.to_string()));
            }
        }
    }
    let site = Site {
        cluster: "Kubernetes".to_owned(),
        network: String::new(),
        system_namespace: SYSTEM.to_owned(),
        domain: "cluster.local".to_owned(),
        kubernetes,
    };
    let board = Board::default();
    let deployer = if kubernetes { Deployer::idle() } else { Deployer::default() };
    let world = Arc::new(RwLock::new(World::new(site)));
    let mut engine = Engine::new(world, Tables::default(), board.clone(), deployer);
    engine.update(Update { changes, problems: files.problems(), synced: true });
    Ok(serde_json::from_value(serde_json::to_value(board.report())?)?)
}
