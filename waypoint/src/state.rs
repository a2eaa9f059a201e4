//! What discovery told so far, published for requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use hbone::wire::intern::Interner;
use hbone::wire::workload::{ADDRESS_TYPE, Address, Workload};
use hbone::xds::{Client, Handler, Rejected, Resource};
use tokio::sync::watch;

use crate::config::policy::Policy;
use crate::config::route::Route;
use crate::config::snapshot::Snapshot;
use crate::config::store::{Kind, Store};
use crate::directory::{Bound, Directory};
use crate::inbound::Inbound;
use crate::pipeline::World;

/// The state of a waypoint: written by discovery, read by requests without a lock.
#[derive(Debug)]
pub struct State {
    config: ArcSwap<Snapshot>,
    directory: ArcSwap<Directory>,
    store: Mutex<Store>,
    interner: Mutex<Interner>,
    policy_changes: watch::Sender<u64>,
    rebindings: watch::Sender<()>,
    arrivals: watch::Sender<()>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            config: ArcSwap::default(),
            directory: ArcSwap::default(),
            store: Mutex::default(),
            interner: Mutex::default(),
            policy_changes: watch::Sender::new(0),
            rebindings: watch::Sender::new(()),
            arrivals: watch::Sender::new(()),
        }
    }
}

impl State {
    /// What is known now.
    pub fn world(&self) -> World {
        World { config: self.config.load_full(), directory: self.directory.load_full() }
    }

    /// Routes and policies as they are now.
    pub fn config(&self) -> Guard<Arc<Snapshot>> {
        self.config.load()
    }

    /// Tells of every change of policies: the generation of the snapshot that has it.
    pub fn policy_changes(&self) -> watch::Receiver<u64> {
        self.policy_changes.subscribe()
    }

    /// Tells of every change of workloads and services.
    pub fn arrivals(&self) -> watch::Receiver<()> {
        self.arrivals.subscribe()
    }

    /// Completes when what `inbound` is addressed to is bound to this waypoint no longer, so that
    /// its connection should end as soon as nothing runs on it. Cancel safe.
    pub async fn left_by(&self, inbound: &Inbound) {
        let mut rebindings = self.rebindings.subscribe();
        loop {
            let world = self.world();
            let gateway = world.config.gateway.as_ref();
            let now = gateway.map(|gateway| world.directory.again(&inbound.target, gateway));
            if now.is_some_and(|now| !matches!(now, Ok((_, Bound::Here)))) {
                return;
            }
            // The sender lives as long as we do.
            let _ = rebindings.changed().await;
        }
    }

    /// The workload of this waypoint itself.
    pub fn own(&self, ip: Option<IpAddr>) -> Option<Arc<Workload>> {
        self.directory.load().workload(ip?).cloned()
    }

    /// All routes and policies, in the order of names: for people.
    pub fn objects(&self) -> (Vec<Arc<Route>>, Vec<Arc<Policy>>) {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        (store.routes().cloned().collect(), store.policies().cloned().collect())
    }

    /// Watches all that a waypoint needs.
    #[must_use]
    pub fn watch(self: &Arc<Self>, client: Client) -> Client {
        let addresses = client.watch(ADDRESS_TYPE, Arc::new(Addresses(Arc::clone(self))));
        Kind::ALL.into_iter().fold(addresses, |client, kind| {
            client.watch(kind.type_url(), Arc::new(Configuration { state: Arc::clone(self), kind }))
        })
    }

    /// Takes configuration resources as discovery would bring them.
    pub fn configure(
        &self,
        kind: Kind,
        resources: Vec<Resource>,
        removed: &[String],
    ) -> Vec<Rejected> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rejected = Vec::new();
        for resource in resources {
            if let Err(error) = store.insert(kind, &resource.name, &resource.bytes) {
                let source = std::error::Error::source(&error).map(|s| format!(": {s}"));
                let error = format!("{error}{}", source.unwrap_or_default());
                rejected.push(Rejected { name: resource.name, error });
            }
        }
        for name in removed {
            store.remove(kind, name);
        }
        let snapshot = Arc::new(store.snapshot());
        let generation = snapshot.policy_generation;
        self.config.store(snapshot);
        self.policy_changes
            .send_if_modified(|known| std::mem::replace(known, generation) != generation);
        rejected
    }

    /// Takes workloads and services as discovery would bring them.
    pub fn address(&self, resources: Vec<Resource>, removed: &[String]) -> Vec<Rejected> {
        let mut interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory::clone(&self.directory.load());
        let mut rejected = Vec::new();
        directory.prune();
        let mut rebound = !removed.is_empty();
        for resource in resources {
            match Address::decode(&resource.bytes, &mut interner) {
                Ok(address) => {
                    rebound |= directory.rebinds(&address);
                    directory.insert(address);
                }
                Err(error) => {
                    rejected.push(Rejected { name: resource.name, error: error.to_string() });
                }
            }
        }
        for name in removed {
            directory.remove(name);
        }
        self.directory.store(Arc::new(directory));
        self.arrivals.send_replace(());
        if rebound {
            self.rebindings.send_replace(());
        }
        rejected
    }
}

struct Addresses(Arc<State>);

impl Handler for Addresses {
    fn apply(&self, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected> {
        self.0.address(resources, &removed)
    }
}

struct Configuration {
    state: Arc<State>,
    kind: Kind,
}

impl Handler for Configuration {
    fn apply(&self, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected> {
        self.state.configure(self.kind, resources, &removed)
    }
}
