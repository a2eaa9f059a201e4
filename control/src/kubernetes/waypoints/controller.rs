//! Follows Gateways, and what was made for them, while this replica leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select_all};
use hbone::brand;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::apply::{Applier, CLASS_DEFAULTS};
use super::children::Children;
use super::outcome::{Outcome, Outcomes};
use super::{Managed, Settings};
use crate::deploy::plan::CONTROLLER;
use crate::kubernetes::observed::{Observed, Seen};
use crate::model::object::{Key, Kind, ObjectRef};
use crate::model::world::World;
use crate::sync;
use crate::translate::waypoint::MANAGED;

/// Everything is looked at this often, whatever was heard.
const RESYNC: Duration = Duration::from_mins(5);
/// Changes that come together are acted on once.
const GATHER: Duration = Duration::from_millis(100);
/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// What follows them. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    /// The API server.
    pub client: kube::Client,
    /// The Gateways.
    pub observed: Observed,
    /// The mesh's configuration.
    pub world: Arc<RwLock<World>>,
    /// What the operator has set; the trust domain is the world's.
    pub settings: Settings,
    /// Where the system's ConfigMaps are.
    pub system_namespace: String,
    /// Whether class `istio-waypoint` is served.
    pub istio_class: bool,
    /// Where it is told what became of it.
    pub outcomes: Outcomes,
}

/// What was heard.
enum Heard {
    Child(Managed, Event<DynamicObject>),
    ConfigMap(PartialObjectMeta<ConfigMap>),
}

impl Controller {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut heard = self.watch();
        let mut changes = self.observed.subscribe();
        let (mut children, mut position) = (Children::default(), 0);
        let mut due: BTreeMap<Key, Instant> = BTreeMap::new();
        let mut resync = Instant::now();
        loop {
            let now = Instant::now();
            let mut touched = BTreeSet::new();
            let next = due.values().min().copied().filter(|_| children.are_known());
            tokio::select! {
                Some(heard) = heard.next() => self.hear(heard, &mut children, &mut touched),
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(next.unwrap_or(resync).min(resync)) => {}
            }
            let (changed, at) = self.observed.since(position);
            position = at;
            for name in changed {
                self.changed(&name, &mut touched);
            }
            if resync <= Instant::now() {
                touched.extend(self.gateways());
                resync = now + RESYNC;
            }
            for key in touched {
                let soon = now + GATHER;
                due.entry(key).and_modify(|at| *at = soon.min(*at)).or_insert(soon);
            }
            if children.are_known() {
                self.settle(&children, &mut due).await;
            }
        }
    }

    fn watch(&self) -> impl futures_util::Stream<Item = Heard> + Unpin + use<> {
        let ours = watcher::Config::default().labels(&format!("{MANAGED}={CONTROLLER}"));
        let mut streams: Vec<BoxStream<'static, Heard>> = Vec::new();
        for managed in Managed::ALL {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &managed.resource());
            let events = watcher(api, ours.clone()).default_backoff();
            let said = move |event| match event {
                Ok(event) => Some(Heard::Child(managed, event)),
                Err(error) => {
                    let error: watcher::Error = error;
                    warn!(kind = managed.kind(), %error, "watch broken; beginning again");
                    None
                }
            };
            streams.push(events.filter_map(move |event| std::future::ready(said(event))).boxed());
        }
        let maps: Api<PartialObjectMeta<ConfigMap>> = Api::all(self.client.clone());
        let maps = watcher(maps, watcher::Config::default()).default_backoff();
        let maps = maps.filter_map(|event| {
            std::future::ready(match event {
                Ok(Event::InitApply(map) | Event::Apply(map) | Event::Delete(map)) => {
                    Some(Heard::ConfigMap(map))
                }
                Ok(Event::Init | Event::InitDone) => None,
                Err(error) => {
                    warn!(kind = "ConfigMap", %error, "watch broken; beginning again");
                    None
                }
            })
        });
        streams.push(maps.boxed());
        select_all(streams)
    }

    fn hear(&self, heard: Heard, children: &mut Children, touched: &mut BTreeSet<Key>) {
        match heard {
            Heard::Child(managed, event) => children.take(managed, event, touched),
            Heard::ConfigMap(map) => {
                let name = map.metadata.name.unwrap_or_default();
                let namespace = map.metadata.namespace.unwrap_or_default();
                let of_class = map.metadata.labels.is_some_and(|l| l.contains_key(CLASS_DEFAULTS));
                // The mesh's configuration has the trust domain.
                if namespace == self.system_namespace && (of_class || name == "istio") {
                    touched.extend(self.gateways());
                }
                let named = |seen: &Seen| {
                    let wish = seen.value.pointer("/spec/infrastructure/parametersRef/name");
                    wish.is_some_and(|wish| *wish == name)
                };
                let all = self.observed.all(Kind::Gateway, Some(&namespace));
                let named = all.into_iter().filter(|(_, seen)| named(seen));
                touched.extend(named.map(|(gateway, _)| key_of(&gateway)));
            }
        }
    }

    fn changed(&self, name: &ObjectRef, touched: &mut BTreeSet<Key>) {
        match name.kind {
            Kind::Gateway => drop(touched.insert(key_of(name))),
            Kind::GatewayClass => touched.extend(self.gateways()),
            _ => {}
        }
    }

    fn gateways(&self) -> impl Iterator<Item = Key> {
        let all = self.observed.all(Kind::Gateway, None);
        all.into_iter().map(|(name, _)| key_of(&name))
    }

    /// Settles what is due.
    async fn settle(&self, children: &Children, due: &mut BTreeMap<Key, Instant>) {
        let now = Instant::now();
        let ripe: Vec<Key> =
            due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        let trust_domain = sync::read(&self.world).mesh().trust_domain.to_string();
        let settings = Settings { trust_domain, ..self.settings.clone() };
        for key in ripe {
            due.remove(&key);
            let name = ObjectRef::new(Kind::Gateway, &key.namespace, &key.name);
            let Some(gateway) = self.observed.get(&name) else {
                // What it owned is removed by the cluster.
                self.outcomes.set(&key, &Outcome::default());
                continue;
            };
            let applier = Applier {
                client: &self.client,
                observed: &self.observed,
                children,
                settings: &settings,
                system_namespace: &self.system_namespace,
            };
            match applier.settle(&gateway, self.serves(&gateway)).await {
                Ok(outcome) => {
                    if self.outcomes.set(&key, &outcome) && outcome != Outcome::default() {
                        warn!(gateway = %key, ?outcome, "waypoint not made as it was asked for");
                    }
                    debug!(gateway = %key, "settled");
                }
                Err(error) => {
                    warn!(gateway = %key, %error, "waypoint not made; trying again");
                    due.insert(key, now + AGAIN);
                    sleep(GATHER).await;
                }
            }
        }
    }

    /// Whether a Gateway is of a class that we serve.
    fn serves(&self, gateway: &Seen) -> bool {
        let class = gateway.value["spec"]["gatewayClassName"].as_str().unwrap_or_default();
        serves(&sync::read(&self.world), class, self.istio_class)
    }
}

/// Whether a class is one that we serve.
pub fn serves(world: &World, class: &str, istio_class: bool) -> bool {
    let (controller, ours) = match world.class(class) {
        Some(class) => (class.controller.as_str(), brand::WAYPOINT_CONTROLLER),
        None => (class, brand::WAYPOINT_CLASS),
    };
    let istio = ["istio.io/mesh-controller", "istio-waypoint"];
    controller == ours || (istio_class && istio.contains(&controller))
}

fn key_of(name: &ObjectRef) -> Key {
    Key::new(&name.namespace, &name.name)
}
