//! Places that were given to instances, kept over a restart: a waypoint that moved because
//! `control` was restarted would cut every stream through it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::object::Key;
use crate::state::StateDir;

/// Name of the file in the state directory.
const FILE: &str = "waypoints.json";

/// Node to addresses, of each Gateway by `namespace/name`.
type Given = BTreeMap<String, BTreeMap<String, Vec<IpAddr>>>;

/// Places that were given.
#[derive(Debug, Default)]
pub struct Leases {
    state: Option<StateDir>,
    given: Given,
    stored: Given,
}

#[derive(Deserialize, Serialize)]
struct File {
    gateways: Given,
}

impl Leases {
    /// Reads what was kept. What cannot be read is forgotten: places are then given anew.
    pub fn load(state: StateDir) -> Self {
        let read = match state.read(FILE) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) => {
                warn!(%error, cause = %error.source, "places of waypoints are unreadable");
                Vec::new()
            }
        };
        let given = match serde_json::from_slice::<File>(&read) {
            Ok(file) => file.gateways,
            Err(_) if read.is_empty() => Given::new(),
            Err(error) => {
                warn!(%error, "places of waypoints are unreadable and given anew");
                Given::new()
            }
        };
        Self { state: Some(state), stored: given.clone(), given }
    }

    /// The places of a Gateway's instances: node to addresses.
    pub fn of(&self, gateway: &Key) -> BTreeMap<String, Vec<IpAddr>> {
        self.given.get(&gateway.to_string()).cloned().unwrap_or_default()
    }

    /// The Gateways that have places.
    pub fn gateways(&self) -> Vec<Key> {
        let keys = self.given.keys().filter_map(|key| key.split_once('/'));
        keys.map(|(namespace, name)| Key::new(namespace, name)).collect()
    }

    /// Notes them.
    pub fn set(&mut self, gateway: &Key, places: BTreeMap<String, Vec<IpAddr>>) {
        if places.is_empty() {
            self.given.remove(&gateway.to_string());
        } else {
            self.given.insert(gateway.to_string(), places);
        }
    }

    /// Every address that some instance of another Gateway has.
    pub fn taken(&self, gateway: &Key) -> BTreeSet<IpAddr> {
        let own = gateway.to_string();
        let others = self.given.iter().filter(|(name, _)| **name != own);
        others.flat_map(|(_, places)| places.values().flatten().copied()).collect()
    }

    /// Writes them down if they changed.
    pub fn keep(&mut self) {
        let Some(state) = self.state.as_ref().filter(|_| self.given != self.stored) else { return };
        let bytes = serde_json::to_vec_pretty(&File { gateways: self.given.clone() });
        match state.write(FILE, &bytes.unwrap_or_default(), 0o600) {
            Ok(()) => self.stored.clone_from(&self.given),
            Err(error) => warn!(%error, cause = %error.source, "places of waypoints not kept"),
        }
    }
}

#[cfg(test)]
mod tests;
