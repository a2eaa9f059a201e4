//! Conditions and Events to the API server, while this replica leads.
//!
//! - [`desired`]: what the status of an object has to say
//! - [`conditions`]: ours among those of others
//! - [`given`]: addresses of hosts
//! - [`events`]: what is wrong, for who looks at the object
//!
//! Only what differs is written, with the version that was read: what another wrote meanwhile
//! is looked at first. docs/operations.md, "Status in a cluster".

pub mod conditions;
pub mod desired;
pub mod events;
pub mod given;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use self::desired::Judge;
use self::events::Events;
use self::given::OnItsWay;
use super::MANAGER;
use super::observed::{Observed, Seen};
use super::touched::Touched;
use super::waypoints::outcome::Outcomes;
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::source::kubernetes::kinds;
use crate::status::Board;
use crate::sync;

/// Changes that come together are written once.
const GATHER: Duration = Duration::from_millis(100);
/// Pause after another has written the same object: its new state is about to be heard.
const STALE: Duration = Duration::from_millis(300);
/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The writer. Cheap to clone.
#[derive(Clone)]
pub struct Status {
    /// The API server.
    pub client: Client,
    /// The objects as it has them.
    pub observed: Observed,
    /// The model.
    pub world: Arc<RwLock<World>>,
    /// What is to be said.
    pub board: Board,
    /// What became of Gateways.
    pub outcomes: Outcomes,
    /// Objects whose conditions have changed.
    pub touched: Touched,
    /// Whether class `istio-waypoint` is served.
    pub istio_class: bool,
    /// Who says it.
    pub instance: String,
}

impl Status {
    /// Runs until it is dropped. It begins with everything.
    pub async fn run(self) {
        let mut changes = self.observed.subscribe();
        // What was there before this replica led is new to it.
        changes.mark_changed();
        let mut position = 0;
        let mut due: BTreeMap<ObjectRef, Instant> = BTreeMap::new();
        let mut events = Events::new(self.client.clone(), self.instance.clone());
        let mut given = OnItsWay::default();
        loop {
            let next = due.values().min().copied();
            tokio::select! {
                () = self.touched.told() => {}
                changed = changes.changed() => if changed.is_err() { return },
                () = at(next) => {}
            }
            // Nothing is said before the model is whole: routes would have no parents.
            if !self.board.synced() {
                sleep(GATHER).await;
                continue;
            }
            let now = Instant::now();
            let (changed, at) = self.observed.since(position);
            position = at;
            for name in self.touched.take().into_iter().chain(changed) {
                for name in self.with_dependents(name) {
                    due.entry(name).or_insert(now + GATHER);
                }
            }
            let ripe: Vec<ObjectRef> =
                due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
            for name in ripe {
                due.remove(&name);
                if let Some(pause) = self.write(&name, &mut events, &mut given).await {
                    due.insert(name, Instant::now() + pause);
                }
            }
            events.problems(&self.board.problems(), &self.observed).await;
        }
    }

    /// An object, and those whose status counts it: the waypoints of its namespace.
    fn with_dependents(&self, name: ObjectRef) -> Vec<ObjectRef> {
        let mut all = Vec::new();
        if matches!(name.kind, Kind::Service | Kind::HTTPRoute | Kind::GRPCRoute) {
            let near = self.observed.all(Kind::Gateway, Some(&name.namespace));
            all.extend(near.into_iter().map(|(gateway, _)| gateway));
        }
        all.push(name);
        all
    }

    /// Writes an object's status if it has to say something else; how long to wait if that has
    /// to be tried again.
    async fn write(
        &self,
        name: &ObjectRef,
        events: &mut Events,
        given: &mut OnItsWay,
    ) -> Option<Duration> {
        let seen = self.observed.get(name).filter(|seen| !seen.is_deleting())?;
        let conditions = self.board.conditions(name);
        let problems = self.board.problems();
        let status = {
            let world = sync::read(&self.world);
            given.heard(&world);
            let judge = Judge {
                world: &world,
                observed: &self.observed,
                outcomes: &self.outcomes,
                istio_class: self.istio_class,
                problems: &problems,
                given,
            };
            judge.status(name, &seen, conditions)?
        };
        if status_contains(&seen, &status) {
            return None;
        }
        match self.patch(name, &seen, &status).await {
            Ok(()) => {
                debug!(object = %name, "status written");
                if name.kind == Kind::ServiceEntry {
                    given.wrote(&Key::new(&name.namespace, &name.name), &status);
                }
                events.conditions(name, &seen, &status).await;
                None
            }
            Err(Error::Api(answer)) if answer.code == 409 => Some(STALE),
            // Gone, or a definition without status.
            Err(Error::Api(answer)) if answer.code == 404 => None,
            Err(Error::Api(answer)) if matches!(answer.code, 400 | 403 | 422) => {
                warn!(object = %name, reason = answer.message, "status not written");
                None
            }
            Err(error) => {
                warn!(object = %name, %error, "status not written; trying again");
                Some(AGAIN)
            }
        }
    }

    async fn patch(&self, name: &ObjectRef, seen: &Seen, status: &Value) -> Result<(), Error> {
        let Some(watched) = kinds::of_kind(name.kind) else { return Ok(()) };
        let resource = watched.resource();
        let api: Api<DynamicObject> = if name.kind.namespaced() {
            Api::namespaced_with(self.client.clone(), &name.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        };
        let params =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = json!({"metadata": {"resourceVersion": seen.version}, "status": status});
        api.patch_status(&name.name, &params, &Patch::Merge(&patch)).await.map(drop)
    }
}

/// Whether every field of `status` is as it is already; lists are compared as a whole.
fn status_contains(seen: &Seen, status: &Value) -> bool {
    let fields = status.as_object().into_iter().flatten();
    let mut differing = fields.filter(|(field, value)| {
        let found = seen.value["status"].get(*field).unwrap_or(&Value::Null);
        let is_empty = |v: &Value| v.is_null() || v.as_array().is_some_and(Vec::is_empty);
        found != *value && !(is_empty(found) && is_empty(value))
    });
    differing.next().is_none()
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
