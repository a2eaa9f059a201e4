//! What was heard of this node's pods and of all namespaces, and what is news for the agent.
//!
//! Nothing is told before both lists are complete, and a pod only once its namespace is known:
//! else a pod that its namespace enrols would be taken for one that stays outside.

use std::collections::{BTreeMap, BTreeSet};

use hbone::label;
use k8s_openapi::api::core::v1::{Namespace, Pod as ApiPod};
use kube::api::{ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::Event;
use tracing::warn;

use super::patch::Written;
use crate::pod::{Pod, Uid};
use crate::source::PodEvent;

/// Namespace, name, and what the API server has of our word.
pub(super) type Told = (String, String, Written);

/// One pod as the API server has it.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    pod: Pod,
    /// Its own label.
    mode: Option<String>,
    /// It is a waypoint or another gateway, which ends tunnels by itself.
    is_gateway: bool,
    told: Told,
}

/// Everything that was heard.
#[derive(Debug, Default)]
pub(super) struct Known {
    pods: BTreeMap<Uid, Heard>,
    /// The label of each namespace.
    namespaces: BTreeMap<String, Option<String>>,
    /// Of a list that is not complete.
    listed_pods: BTreeMap<Uid, Heard>,
    listed_namespaces: BTreeMap<String, Option<String>>,
    have_pods: bool,
    have_namespaces: bool,
    /// What the agent was told.
    said: BTreeSet<Uid>,
    synced: bool,
}

impl Known {
    /// Takes an event of the pods.
    pub(super) fn pod(&mut self, event: Event<ApiPod>) -> Vec<PodEvent> {
        match event {
            Event::Init => self.listed_pods.clear(),
            Event::InitApply(pod) => {
                if let Some(heard) = heard(&pod) {
                    self.listed_pods.insert(heard.pod.uid.clone(), heard);
                }
            }
            Event::InitDone => {
                self.pods = std::mem::take(&mut self.listed_pods);
                self.have_pods = true;
                return self.snapshot();
            }
            Event::Apply(pod) => return self.changed(&pod),
            Event::Delete(pod) => {
                let uid = Uid::from(pod.metadata.uid.unwrap_or_default());
                return self.gone(&uid);
            }
        }
        Vec::new()
    }

    /// Takes an event of the namespaces.
    pub(super) fn namespace(
        &mut self,
        event: Event<PartialObjectMeta<Namespace>>,
    ) -> Vec<PodEvent> {
        match event {
            Event::Init => self.listed_namespaces.clear(),
            Event::InitApply(namespace) => {
                let (name, mode) = mode(&namespace.metadata);
                self.listed_namespaces.insert(name, mode);
            }
            Event::InitDone => {
                self.namespaces = std::mem::take(&mut self.listed_namespaces);
                self.have_namespaces = true;
                return self.snapshot();
            }
            Event::Apply(namespace) => {
                let (name, mode) = mode(&namespace.metadata);
                if self.namespaces.get(&name) != Some(&mode) {
                    self.namespaces.insert(name.clone(), mode);
                    return self.of_namespace(&name);
                }
            }
            // Its pods went before it.
            Event::Delete(namespace) => {
                self.namespaces.remove(&mode(&namespace.metadata).0);
            }
        }
        Vec::new()
    }

    /// A pod's name, and what the API server has of our word on it.
    pub(super) fn written(&self, uid: &Uid) -> Option<&Told> {
        self.pods.get(uid).map(|heard| &heard.told)
    }

    /// Notes what the API server has now.
    pub(super) fn wrote(&mut self, uid: &Uid, now: &ApiPod) {
        if let Some(heard) = self.pods.get_mut(uid) {
            heard.told.2 = Written::read(now);
        }
    }

    fn changed(&mut self, pod: &ApiPod) -> Vec<PodEvent> {
        let Some(heard) = heard(pod) else { return Vec::new() };
        let uid = heard.pod.uid.clone();
        // Another pod of that name: the old one went unheard.
        let same_name = |old: &&Heard| {
            old.pod.uid != uid
                && old.pod.name == heard.pod.name
                && old.pod.namespace == heard.pod.namespace
        };
        let before = self.pods.values().find(same_name).map(|old| old.pod.uid.clone());
        let mut news = before.map(|old| self.gone(&old)).unwrap_or_default();
        self.pods.insert(uid.clone(), heard);
        news.extend(self.tell(&uid));
        news
    }

    fn gone(&mut self, uid: &Uid) -> Vec<PodEvent> {
        self.pods.remove(uid);
        let told = self.said.remove(uid) && self.synced;
        if told { vec![PodEvent::Removed(uid.clone())] } else { Vec::new() }
    }

    fn of_namespace(&mut self, name: &str) -> Vec<PodEvent> {
        let there = self.pods.values().filter(|heard| heard.pod.namespace == name);
        let uids: Vec<Uid> = there.map(|heard| heard.pod.uid.clone()).collect();
        uids.iter().filter_map(|uid| self.tell(uid)).collect()
    }

    fn tell(&mut self, uid: &Uid) -> Option<PodEvent> {
        if !self.synced {
            return None;
        }
        let pod = self.judged(self.pods.get(uid)?)?;
        self.said.insert(uid.clone());
        Some(PodEvent::Changed(Box::new(pod)))
    }

    /// Everything, if everything is known.
    fn snapshot(&mut self) -> Vec<PodEvent> {
        if !(self.have_pods && self.have_namespaces) {
            return Vec::new();
        }
        self.synced = true;
        let pods: Vec<Pod> = self.pods.values().filter_map(|heard| self.judged(heard)).collect();
        self.said = pods.iter().map(|pod| pod.uid.clone()).collect();
        vec![PodEvent::Snapshot(pods)]
    }

    /// The pod with what its labels say, once its namespace is known.
    fn judged(&self, heard: &Heard) -> Option<Pod> {
        let inherited = self.namespaces.get(&heard.pod.namespace)?;
        let labelled =
            !heard.is_gateway && label::takes_part(heard.mode.as_deref(), inherited.as_deref());
        Some(Pod { labelled, ..heard.pod.clone() })
    }
}

fn mode(meta: &ObjectMeta) -> (String, Option<String>) {
    let label = meta.labels.as_ref().and_then(|labels| labels.get(label::DATAPLANE_MODE));
    (meta.name.clone().unwrap_or_default(), label.cloned())
}

/// What the agent needs of a pod; one that cannot be understood is left as it is known.
fn heard(pod: &ApiPod) -> Option<Heard> {
    let told = (
        pod.metadata.namespace.clone().unwrap_or_default(),
        pod.metadata.name.clone().unwrap_or_default(),
        Written::read(pod),
    );
    match Pod::try_from(pod) {
        Ok(read) => {
            let labels = pod.metadata.labels.as_ref();
            let is_gateway = labels.is_some_and(|labels| labels.contains_key(label::GATEWAY_NAME));
            Some(Heard { pod: read, mode: mode(&pod.metadata).1, is_gateway, told })
        }
        Err(error) => {
            warn!(%error, "pod not taken");
            None
        }
    }
}

#[cfg(test)]
mod tests;
