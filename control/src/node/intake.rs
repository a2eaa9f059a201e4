//! What machines say, on its way to the engine: reports first reach the disk, then the mesh, so
//! that a restart in between forgets none that was acted on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::presence::Presence;
use super::reports::{self, Reports};
use super::watch::{FromNode, Reported};
use crate::engine::Engine;
use crate::limits;
use crate::model::world::World;
use crate::state::StateDir;
use crate::sync;

/// The reports that are kept, and which machines still make some.
#[derive(Debug)]
pub struct Intake {
    state: StateDir,
    world: Arc<RwLock<World>>,
    /// The reports of each machine, as they are on disk.
    reports: BTreeMap<String, Reports>,
    presence: Presence,
}

impl Intake {
    /// Goes on with the reports on disk, which it puts into the world. A machine without a
    /// stream for `grace` is silent.
    pub fn open(state: StateDir, world: Arc<RwLock<World>>, grace: Duration) -> Self {
        let reports = reports::load(&state);
        for (uid, report) in reports.values().flatten() {
            sync::write(&world).set_report(uid, report);
        }
        let presence = Presence::new(grace, reports.keys().cloned(), Instant::now());
        Self { state, world, reports, presence }
    }

    /// Ready when a machine falls silent. Cancel safe.
    pub async fn due(&self) {
        match self.presence.due() {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Tells the engine which machines have fallen silent.
    pub fn fall_silent(&mut self, engine: &mut Engine) {
        for node in self.presence.fall_silent(Instant::now()) {
            info!(node, "node is silent; where others are ready, its waypoints are not called");
            engine.set_silent(&node, true);
            let no_pods = sync::read(&self.world).pods_on(&node).next().is_none();
            // Before the source is known there are no pods at all.
            if engine.is_synced() && no_pods {
                self.forget(engine, &node);
            }
        }
    }

    /// Forgets a machine that has nothing left, so that machines which come and go leave
    /// nothing behind.
    fn forget(&mut self, engine: &mut Engine, node: &str) {
        engine.set_silent(node, false);
        self.presence.forget(node);
        self.reports.remove(node);
        if let Err(error) = reports::remove(&self.state, node) {
            warn!(%error, node, "reports of a node that is gone stay on disk");
        }
    }

    /// Takes what machines say.
    pub async fn take(&mut self, engine: &mut Engine, batch: Vec<FromNode>) {
        let mut accepted = Vec::new();
        let mut touched = BTreeSet::new();
        for event in batch {
            match event {
                FromNode::Came(node) => {
                    if self.presence.came(&node) {
                        info!(node, "node speaks again");
                        engine.set_silent(&node, false);
                    }
                }
                FromNode::Left(node) => self.presence.left(&node, Instant::now()),
                FromNode::Pod(reported) if self.has_room(&reported) => {
                    let kept = self.reports.entry(reported.node.clone()).or_default();
                    kept.insert(reported.uid.clone(), reported.report.clone());
                    touched.insert(reported.node.clone());
                    accepted.push(reported);
                }
                FromNode::Pod(reported) => {
                    warn!(node = reported.node, "MAX_REPORTS_PER_NODE reached; report dropped");
                }
            }
        }
        for node in touched {
            self.keep(node).await;
        }
        for Reported { pod, uid, report, .. } in accepted {
            engine.report(pod, &uid, &report);
        }
    }

    /// Whether a report can be kept; where there is no room, those of pods that are gone make
    /// some.
    fn has_room(&mut self, reported: &Reported) -> bool {
        let Some(kept) = self.reports.get_mut(&reported.node) else { return true };
        if kept.contains_key(&reported.uid) || kept.len() < limits::MAX_REPORTS_PER_NODE {
            return true;
        }
        prune(&self.world, &reported.node, kept);
        kept.len() < limits::MAX_REPORTS_PER_NODE
    }

    async fn keep(&mut self, node: String) {
        let Some(kept) = self.reports.get_mut(&node) else { return };
        prune(&self.world, &node, kept);
        let (state, kept) = (self.state.clone(), kept.clone());
        let stored =
            tokio::task::spawn_blocking(move || reports::store(&state, &node, &kept)).await;
        if let Ok(Err(error)) = stored {
            warn!(%error, cause = %error.source, "reports of a node not kept");
        }
    }
}

/// Drops reports on pods that are not on the machine any more.
fn prune(world: &RwLock<World>, node: &str, kept: &mut Reports) {
    let world = sync::read(world);
    let on_node: BTreeSet<&str> = world.pods_on(node).map(|p| p.uid.as_str()).collect();
    kept.retain(|uid, _| on_node.contains(uid.as_str()));
}

#[cfg(test)]
mod tests;
