//! From changed objects to changed resources.
//!
//! One task owns the engine. A change costs what depends on the changed object: it marks things
//! dirty, those are derived again, and only resources whose bytes differ reach the tables.
//!
//! - [`addresses`]: for hosts of ServiceEntries
//! - [`publish`]: what is published, and for which derivation
//! - [`rollout`]: a change of waypoints, in steps that lose no request

pub mod addresses;
mod publish;
pub mod rollout;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, RwLock};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use prometheus_client::metrics::gauge::Gauge;

use self::addresses::Addresses;
use self::publish::Publisher;
use self::rollout::{IN_FLIGHT, PATIENCE, Step, WITHDRAWAL};

use crate::deploy::Deployer;
use crate::jwks::url::KeySetUrl;
use crate::jwks::{Fetched, Wanted};
use crate::model::dirty::{Dirty, dirtied_by, waypoint_of};
use crate::model::object::{Key, Kind, Object, ObjectRef};
use crate::model::report::Report;
use crate::model::world::World;
use crate::source::Update;
use crate::status::Board;
use crate::sync;
use crate::translate::{Family, derive};
use crate::xds::progress::{Position, Progress};
use crate::xds::table::Table;

/// The resources that subscribers read, and the bell that rings when they change.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Layer 4 policies.
    pub authorization: Table,
    /// Workloads and services.
    pub address: Table,
    /// The Gateways of waypoints.
    pub waypoint_gateways: Table,
    /// Routes of waypoints.
    pub waypoint_routes: Table,
    /// Layer 7 policies of waypoints.
    pub waypoint_policies: Table,
    /// Whose tokens waypoints trust.
    pub waypoint_authentications: Table,
    /// External authorizers.
    pub waypoint_providers: Table,
    /// Pods for the nodes that run them.
    pub node_pods: Table,
    /// How far the node proxies have come with them.
    pub progress: Progress,
    bell: watch::Sender<u64>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            authorization: Table::default(),
            address: Table::default(),
            waypoint_gateways: Table::default(),
            waypoint_routes: Table::default(),
            waypoint_policies: Table::default(),
            waypoint_authentications: Table::default(),
            waypoint_providers: Table::default(),
            node_pods: Table::default(),
            progress: Progress::default(),
            bell: watch::Sender::new(0),
        }
    }
}

impl Tables {
    /// The table of a family.
    pub fn of(&self, family: Family) -> &Table {
        match family {
            Family::Authorization => &self.authorization,
            Family::Address => &self.address,
            Family::WaypointGateway => &self.waypoint_gateways,
            Family::WaypointRoute => &self.waypoint_routes,
            Family::WaypointPolicy => &self.waypoint_policies,
            Family::WaypointAuthentication => &self.waypoint_authentications,
            Family::WaypointProvider => &self.waypoint_providers,
            Family::NodePod => &self.node_pods,
        }
    }

    fn ring(&self) {
        self.bell.send_modify(|n| *n += 1);
    }

    fn position(&self) -> Position {
        Position { authorization: self.authorization.revision(), address: self.address.revision() }
    }

    /// Rings after every batch of changes.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}

/// Steps that wait for the acknowledgements of the one before.
#[derive(Debug)]
struct Rollout {
    /// What has to be acknowledged.
    position: Position,
    /// Since when it is.
    reached: Option<Instant>,
    /// When the next step comes all the same.
    deadline: Instant,
    /// Not empty.
    steps: VecDeque<Step>,
}

/// The engine; see the module.
#[derive(Debug)]
pub struct Engine {
    world: Arc<RwLock<World>>,
    tables: Tables,
    board: Board,
    deployer: Deployer,
    addresses: Addresses,
    /// Addresses that hosts of ServiceEntries have.
    given: Gauge,
    publisher: Publisher,
    rollouts: Vec<Rollout>,
    /// Whether the source has ever had a state to serve.
    synced: bool,
    /// The key sets that somebody has to fetch.
    wanted: watch::Sender<Wanted>,
}

impl Engine {
    /// An engine over `world`, which only it changes.
    pub fn new(
        world: Arc<RwLock<World>>,
        tables: Tables,
        board: Board,
        deployer: Deployer,
    ) -> Self {
        let publisher = Publisher::new(tables.clone(), board.clone());
        Self {
            world,
            tables,
            board,
            deployer,
            addresses: Addresses::default(),
            given: Gauge::default(),
            publisher,
            rollouts: Vec::new(),
            synced: false,
            wanted: watch::Sender::default(),
        }
    }

    /// The same, which keeps the addresses that it gives.
    #[must_use]
    pub fn keeping(self, addresses: Addresses) -> Self {
        Self { addresses, ..self }
    }

    /// The same, which counts the addresses that are given.
    #[must_use]
    pub fn counting(self, given: Gauge) -> Self {
        Self { given, ..self }
    }

    /// Takes what the source says.
    pub fn update(&mut self, update: Update) {
        let (mut dirty, mut gateways) = (BTreeSet::new(), BTreeSet::new());
        let mut entries = BTreeSet::new();
        let world = self.world.clone();
        let of_tokens =
            update.changes.iter().any(|(name, _)| name.kind == Kind::RequestAuthentication);
        for (name, object) in update.changes {
            if name.kind == Kind::ServiceEntry {
                entries.insert(Key::new(&name.namespace, &name.name));
            }
            let mut world = sync::write(&world);
            self.deployer.touched_by(&world, &name, &mut gateways);
            self.change(&mut world, &name, object, &mut dirty);
            self.deployer.touched_by(&world, &name, &mut gateways);
        }
        let first = update.synced && !std::mem::replace(&mut self.synced, true);
        if first {
            // What went while nobody looked gives back what was kept for it.
            gateways.extend(self.deployer.from_before());
        }
        let deployed = self.deployer.follow(&sync::read(&world), gateways);
        for (name, object) in deployed {
            self.change(&mut sync::write(&world), &name, object, &mut dirty);
        }
        if first {
            sync::write(&world).keep_reports_of_pods();
        }
        if first || !entries.is_empty() {
            let mut world = sync::write(&world);
            self.addresses.follow(&mut world, entries, first, &mut dirty);
            self.given.set(i64::try_from(world.vips.len()).unwrap_or(i64::MAX));
        }
        if of_tokens {
            let wanted = sync::read(&world).wanted_key_sets();
            sync::write(&world).keep_fetched(&wanted);
            self.wanted.send_if_modified(|old| std::mem::replace(old, wanted.clone()) != wanted);
        }
        self.derive_all(dirty);
        self.board.set_source(update.problems, self.synced && self.has_key_sets());
        // Also without a change: the first update may be the one that makes the state ready.
        self.tables.ring();
    }

    /// Takes what a node says about a pod; nothing, if the pod is gone by now.
    pub fn report(&mut self, pod: Key, uid: &str, report: &Report) {
        let mut dirty = BTreeSet::new();
        {
            let mut world = sync::write(&self.world);
            let there = world.pod(&pod).is_some_and(|pod| pod.uid == uid);
            if !there || !world.set_report(uid, report) {
                return;
            }
            waypoint_of(&world, &pod, &mut dirty);
        }
        dirty.insert(Dirty::Pod(pod));
        self.derive_all(dirty);
        self.tables.ring();
    }

    /// The key sets that somebody has to fetch, and to tell of by [`Engine::fetched`].
    pub fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Takes what became of a key set.
    pub fn fetched(&mut self, url: &KeySetUrl, fetched: Fetched) {
        let mut dirty = BTreeSet::new();
        {
            let mut world = sync::write(&self.world);
            if !self.wanted.borrow().contains_key(url) || !world.set_fetched(url, fetched) {
                return;
            }
            dirty.extend(world.verified_by(url).cloned().map(Dirty::Authentication));
        }
        self.derive_all(dirty);
        if self.synced && self.has_key_sets() {
            self.board.set_synced();
        }
        self.tables.ring();
    }

    /// Whether it is known of every key set what became of it. A control plane that starts
    /// serves nothing before: else its waypoints would refuse what they accepted by the keys
    /// that its forerunner had.
    fn has_key_sets(&self) -> bool {
        let world = sync::read(&self.world);
        self.wanted.borrow().keys().all(|url| world.fetched(url).is_some())
    }

    /// Whether the source has had a state to serve.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Takes that a node has been silent for too long, or speaks again.
    pub fn set_silent(&mut self, node: &str, silent: bool) {
        let mut dirty = BTreeSet::new();
        {
            let mut world = sync::write(&self.world);
            if !world.set_silent(node, silent) {
                return;
            }
            let pods: Vec<Key> = world.pods_on(node).map(|pod| pod.meta.key.clone()).collect();
            for pod in pods {
                waypoint_of(&world, &pod, &mut dirty);
            }
        }
        self.derive_all(dirty);
        self.tables.ring();
    }

    /// Ready when [`Engine::advance`] has something to do. Cancel safe.
    pub async fn due(&self) {
        let mut changes = self.tables.progress.subscribe();
        let unseen = |r: &Rollout| r.reached.is_none() && self.tables.progress.reached(r.position);
        if self.rollouts.iter().any(unseen) {
            return;
        }
        match self.rollouts.iter().map(Rollout::due).min() {
            Some(due) => tokio::select! {
                () = sleep_until(due) => {}
                // The sender is in our tables.
                _ = changes.changed() => {}
            },
            None => std::future::pending().await,
        }
    }

    /// Takes the steps that are due.
    pub fn advance(&mut self) {
        let now = Instant::now();
        for mut rollout in std::mem::take(&mut self.rollouts) {
            if rollout.reached.is_none() && self.tables.progress.reached(rollout.position) {
                rollout.reached = Some(now);
            }
            if rollout.due() > now {
                self.rollouts.push(rollout);
                continue;
            }
            if rollout.reached.is_none() {
                warn!(
                    seconds = PATIENCE.as_secs(),
                    "a node proxy did not acknowledge a change \
                    of waypoints in time; it refuses until it has"
                );
            }
            let steps = rollout.steps;
            self.begin(steps, None);
            self.tables.ring();
        }
    }

    /// Derives again; what is under way of the same things ends there.
    fn derive_all(&mut self, dirty: BTreeSet<Dirty>) {
        let deadline = self.supersede(&dirty);
        let world = self.world.clone();
        let world = sync::read(&world);
        let derived: Step = dirty.into_iter().map(|d| (d.clone(), derive(&world, &d))).collect();
        drop(world);
        let steps = rollout::steps(derived, |dirty, new| self.publisher.in_force(dirty, new));
        self.begin(steps, deadline);
    }

    /// Publishes the first step and lets the others wait; nobody waits for nobody.
    fn begin(&mut self, mut steps: VecDeque<Step>, deadline: Option<Instant>) {
        while let Some(step) = steps.pop_front() {
            self.publisher.publish(step);
            let position = self.tables.position();
            if !steps.is_empty() && !self.tables.progress.is_empty() {
                info!(steps = steps.len(), "a change of waypoints goes out in steps");
                let patient = Instant::now() + PATIENCE;
                // However often it changes, the deadline of the first change stays.
                let deadline = deadline.map_or(patient, |deadline| deadline.min(patient));
                self.rollouts.push(Rollout { position, reached: None, deadline, steps });
                return;
            }
        }
    }

    /// Takes things out of the steps that wait; the earliest deadline of those.
    fn supersede(&mut self, dirty: &BTreeSet<Dirty>) -> Option<Instant> {
        let mut deadline = None;
        for rollout in &mut self.rollouts {
            let mut had = false;
            for step in &mut rollout.steps {
                let before = step.len();
                step.retain(|(one, _)| !dirty.contains(one));
                had |= step.len() < before;
            }
            rollout.steps.retain(|step| !step.is_empty());
            if had {
                let earliest =
                    deadline.map_or(rollout.deadline, |d: Instant| d.min(rollout.deadline));
                deadline = Some(earliest);
            }
        }
        self.rollouts.retain(|rollout| !rollout.steps.is_empty());
        deadline
    }

    /// Puts an object into the world and notes what that makes dirty, before and after.
    fn change(
        &self,
        world: &mut World,
        name: &ObjectRef,
        object: Option<Object>,
        dirty: &mut BTreeSet<Dirty>,
    ) {
        dirtied_by(world, name, dirty);
        world.put(name, object);
        dirtied_by(world, name, dirty);
        dirty.extend(self.publisher.lookers(name).cloned());
    }
}

impl Rollout {
    /// When its next step comes. Before the last that closes a way, requests on it are let end.
    fn due(&self) -> Instant {
        let closing = self.steps.iter().filter(|step| !rollout::is_withdrawal(step)).count();
        match (closing, self.reached) {
            (0, reached) => reached.unwrap_or(self.deadline) + WITHDRAWAL,
            (1, Some(reached)) => reached + IN_FLIGHT,
            (_, Some(reached)) => reached,
            (_, None) => self.deadline,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
