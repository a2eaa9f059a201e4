//! The root bundle in a ConfigMap of each namespace, where pods mount it.
//!
//! docs/wire.md, "Certificates". Only the leader writes, and only what differs: a ConfigMap
//! that somebody removes or changes is put back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use super::MANAGER;

/// The ConfigMap.
pub const NAME: &str = "istio-ca-root-cert";
/// Its key.
pub const KEY: &str = "root-cert.pem";

/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the bundle `pem` in every namespace while `leads` says so; ends when its sender does.
pub async fn run(client: kube::Client, pem: String, mut leads: watch::Receiver<bool>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let maps: Api<ConfigMap> = Api::all(client.clone());
    let mut namespaces = watcher(namespaces, watcher::Config::default()).default_backoff().boxed();
    let mut maps = watcher(maps, config).default_backoff().boxed();
    let mut state = State::default();
    loop {
        tokio::select! {
            Some(event) = namespaces.next() => match event {
                Ok(event) => state.namespace(event),
                Err(error) => warn!(%error, "namespaces cannot be watched"),
            },
            Some(event) = maps.next() => match event {
                Ok(event) => state.map(event, &pem),
                Err(error) => warn!(%error, "ConfigMaps cannot be watched"),
            },
            changed = leads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if state.failed => {}
        }
        if *leads.borrow() {
            write(&client, &pem, &mut state).await;
        }
    }
}

async fn write(client: &kube::Client, pem: &str, state: &mut State) {
    state.failed = false;
    for namespace in state.missing() {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let wanted = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "labels": {"istio.io/config": "true"}},
            "data": {KEY: pem},
        });
        match api.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await {
            Ok(_) => {
                info!(namespace, "root bundle written");
                state.good.insert(namespace);
            }
            // The namespace goes, or is gone already: its own event follows.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => {
                warn!(namespace, %error, "root bundle not written; trying again");
                state.failed = true;
            }
        }
    }
}

/// Which namespaces there are, and which have the bundle.
#[derive(Debug, Default)]
struct State {
    namespaces: BTreeSet<String>,
    /// Those of a list that is not complete.
    listed: BTreeSet<String>,
    good: BTreeSet<String>,
    /// Those of a list that is not complete.
    listed_good: BTreeSet<String>,
    /// Nothing is missing before both were listed.
    known: (bool, bool),
    failed: bool,
}

impl State {
    fn namespace(&mut self, event: Event<PartialObjectMeta<Namespace>>) {
        let lives = |meta: &ObjectMeta| meta.deletion_timestamp.is_none();
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                if lives(&object.metadata) {
                    self.listed.insert(name);
                }
            }
            Event::InitDone => {
                self.namespaces = std::mem::take(&mut self.listed);
                self.known.0 = true;
            }
            Event::Apply(object) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                if lives(&object.metadata) {
                    self.namespaces.insert(name);
                } else {
                    self.namespaces.remove(&name);
                }
            }
            Event::Delete(object) => {
                self.namespaces.remove(&object.metadata.name.unwrap_or_default());
            }
        }
    }

    fn map(&mut self, event: Event<ConfigMap>, pem: &str) {
        let is_good = |map: &ConfigMap| {
            let data = map.data.as_ref();
            data.is_some_and(|data: &BTreeMap<_, _>| {
                data.get(KEY).is_some_and(|found| found == pem)
            })
        };
        let namespace = |map: &ConfigMap| map.metadata.namespace.clone().unwrap_or_default();
        match event {
            Event::Init => self.listed_good.clear(),
            Event::InitApply(map) => {
                if is_good(&map) {
                    self.listed_good.insert(namespace(&map));
                }
            }
            Event::InitDone => {
                self.good = std::mem::take(&mut self.listed_good);
                self.known.1 = true;
            }
            Event::Apply(map) if is_good(&map) => drop(self.good.insert(namespace(&map))),
            Event::Apply(map) | Event::Delete(map) => drop(self.good.remove(&namespace(&map))),
        }
    }

    fn missing(&self) -> Vec<String> {
        match self.known {
            (true, true) => self.namespaces.difference(&self.good).cloned().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
