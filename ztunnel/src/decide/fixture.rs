//! A small mesh for the tests of decisions.

use hbone::identity::SpiffeId;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::state::{Place, Snapshot, State, StaticState};

/// Seen from node-a of network "": `web` calls, `store` is in the mesh, `legacy` is not.
pub(super) const MESH: &str = include_str!("fixture.yaml");

pub(super) fn snapshot_of(yaml: &str) -> std::sync::Arc<Snapshot> {
    let place = Place { node: "node-a".into(), network: "".into(), cluster: "Kubernetes".into() };
    let state = State::new(place);
    state.add_static(&StaticState::parse(yaml).unwrap()).unwrap();
    state.complete();
    state.snapshot()
}

pub(super) fn mesh() -> std::sync::Arc<Snapshot> {
    snapshot_of(MESH)
}

pub(super) fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

pub(super) fn id(namespace: &str, account: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}").parse().unwrap()
}
