//! One type on one stream: what the client holds and what it has to hear. Pure: no clock, no
//! socket.

use std::collections::{BTreeMap, BTreeSet};

use hbone::wire::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use prost::bytes::Bytes;
use prost_types::Any;

use super::admission::Client;
use super::table::{Entry, Name, TooFarBehind};
use super::types::Type;
use crate::limits;
use crate::translate::EVERY_WAYPOINT;
use crate::translate::workload::node_group;

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Nothing: an acknowledgement, a rejection or an outdated request.
    None,
    /// This response.
    Now(DeltaDiscoveryResponse),
}

/// Why a stream has to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// It asks for too much.
    #[error("more than MAX_NAMES_PER_STREAM ({max}) names", max = limits::MAX_NAMES_PER_STREAM)]
    TooManyNames,
    /// It has to begin again.
    #[error(transparent)]
    TooFarBehind(#[from] TooFarBehind),
}

/// One type on one stream.
#[derive(Debug)]
pub struct Subscription {
    kind: Type,
    /// The machine whose workloads are always of interest.
    node: String,
    /// The group of a scoped type's client.
    scope: String,
    wildcard: bool,
    /// Names asked for, without wildcard.
    names: BTreeSet<String>,
    /// Names that the client holds, without wildcard.
    held: BTreeSet<Name>,
    /// Position in the table's log.
    revision: u64,
    /// The position that the client has acknowledged.
    acknowledged: u64,
    nonce: u64,
    /// A response waits for its acknowledgement.
    pub unacknowledged: bool,
}

impl Subscription {
    /// Begins with the first request of the type; it is always answered, with the whole state
    /// less what the client holds.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub fn begin(
        kind: Type,
        client: &Client,
        request: &DeltaDiscoveryRequest,
    ) -> Result<(Self, DeltaDiscoveryResponse), SubscriptionError> {
        let has_star = |names: &[String]| names.iter().any(|n| n == "*");
        let (add, remove) =
            (&request.resource_names_subscribe, &request.resource_names_unsubscribe);
        let star = has_star(add) && !has_star(remove);
        let scoped = kind.scoped;
        let wildcard = !scoped && (!kind.on_demand || add.is_empty() || star);
        let mut subscription = Self {
            kind,
            node: client.node.clone(),
            scope: client.scope.clone(),
            wildcard,
            names: BTreeSet::new(),
            held: BTreeSet::new(),
            revision: 0,
            acknowledged: 0,
            nonce: 0,
            unacknowledged: false,
        };
        let response = if scoped {
            subscription.first_of_scope(&request.initial_resource_versions)
        } else if wildcard {
            subscription.first_of_all(&request.initial_resource_versions)
        } else {
            let held = &request.initial_resource_versions;
            let names = add.iter().chain(held.keys()).filter(|n| *n != "*").cloned();
            subscription.first_of_some(names.collect(), held)?
        };
        Ok((subscription, response))
    }

    fn first_of_all(&mut self, held: &impl Held) -> DeltaDiscoveryResponse {
        let all = self.kind.table.all();
        let mut removed: BTreeSet<&str> = held.names().collect();
        let mut resources = Vec::new();
        for (name, entry) in &all.updated {
            removed.remove(&**name);
            if held.version(name) != Some(&entry.version) {
                resources.push(self.resource(name, entry));
            }
        }
        let removed = removed.into_iter().map(str::to_owned).collect();
        self.revision = all.revision;
        self.respond(resources, removed)
    }

    /// All that belongs to the client's group, and to every client.
    fn first_of_scope(&mut self, held: &impl Held) -> DeltaDiscoveryResponse {
        self.revision = self.kind.table.revision();
        let own = self.kind.table.group(&self.scope).into_iter();
        let all: BTreeMap<Name, Entry> = own.chain(self.kind.table.group(EVERY_WAYPOINT)).collect();
        self.held = all.keys().cloned().collect();
        let gone = held.names().filter(|name| !all.contains_key(*name));
        let removed = gone.map(str::to_owned).collect();
        let changed = all.iter().filter(|(name, entry)| held.version(name) != Some(&entry.version));
        let resources = changed.map(|(name, entry)| self.resource(name, entry)).collect();
        self.respond(resources, removed)
    }

    fn first_of_some(
        &mut self,
        names: BTreeSet<String>,
        held: &impl Held,
    ) -> Result<DeltaDiscoveryResponse, SubscriptionError> {
        self.revision = self.kind.table.revision();
        let local = self.kind.table.group(&node_group(&self.node));
        let (mut resources, mut removed) = self.look_up(names)?;
        for (name, entry) in local {
            self.held.insert(name.clone());
            resources.insert(name, entry);
        }
        // A lookup that waits has an empty version; what is held with one is gone by its name.
        removed.retain(|name| !resources.contains_key(name.as_str()));
        let resources = resources
            .iter()
            .filter(|(name, entry)| held.version(name) != Some(&entry.version))
            .map(|(name, entry)| self.resource(name, entry))
            .collect();
        Ok(self.respond(resources, removed))
    }

    /// Takes a further request of the type.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub fn request(
        &mut self,
        request: &DeltaDiscoveryRequest,
    ) -> Result<Answer, SubscriptionError> {
        let current = request.response_nonce == self.nonce.to_string();
        if !request.response_nonce.is_empty() {
            if !current {
                return Ok(Answer::None);
            }
            self.unacknowledged = false;
            // Also of a rejection: what it did not take it will not take later.
            self.acknowledged = self.revision;
        }
        if request.error_detail.is_some() {
            return Ok(Answer::None);
        }
        let (add, remove) =
            (&request.resource_names_subscribe, &request.resource_names_unsubscribe);
        if add.is_empty() && remove.is_empty() {
            return Ok(Answer::None);
        }
        for name in remove {
            self.names.remove(name);
        }
        if self.wildcard && remove.iter().any(|n| n == "*") {
            self.wildcard = false;
        }
        let names: BTreeSet<String> = add.iter().filter(|n| *n != "*").cloned().collect();
        // A scope cannot be widened by asking for names.
        if names.is_empty() || self.kind.scoped {
            return Ok(Answer::Now(self.respond(Vec::new(), Vec::new())));
        }
        let (resources, removed) = self.look_up(names)?;
        let resources = resources.iter().map(|(n, e)| self.resource(n, e)).collect();
        Ok(Answer::Now(self.respond(resources, removed)))
    }

    /// Looks names up and remembers them. What is not there is listed as removed, and so is a
    /// `network/ip` that an alias answered: a client that completes look-ups by name alone
    /// hears of it that way, after it has applied the resources.
    #[allow(clippy::type_complexity)] // Two lists of one answer.
    fn look_up(
        &mut self,
        names: BTreeSet<String>,
    ) -> Result<(BTreeMap<Name, Entry>, Vec<String>), SubscriptionError> {
        if self.names.len() + names.len() > limits::MAX_NAMES_PER_STREAM {
            return Err(SubscriptionError::TooManyNames);
        }
        let (mut resources, mut removed) = (BTreeMap::new(), Vec::new());
        for name in names {
            let found = self.kind.table.find(&name);
            if !found.iter().any(|(n, _)| **n == *name) {
                removed.push(name.clone());
            }
            self.held.extend(found.iter().map(|(n, _)| n.clone()));
            resources.extend(found);
            if !self.wildcard {
                self.names.insert(name);
            }
        }
        Ok((resources, removed))
    }

    /// The position in the table's log up to which the client has taken everything.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether the client has something to hear.
    pub fn is_behind(&self) -> bool {
        self.kind.table.is_after(self.revision)
    }

    /// What changed since the last response; `None` if that is nothing to this client.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub fn push(&mut self) -> Result<Option<DeltaDiscoveryResponse>, SubscriptionError> {
        let changes = self.kind.table.since(self.revision)?;
        self.revision = changes.revision;
        let mut resources = Vec::new();
        let mut removed = changes.removed;
        for (name, entry) in &changes.updated {
            if self.left_scope(name, entry) {
                removed.push(name.clone());
            } else if self.wants(name, entry) {
                if !self.wildcard {
                    self.held.insert(name.clone());
                }
                resources.push(self.resource(name, entry));
            }
        }
        if !self.wildcard {
            removed.retain(|name| self.held.remove(name));
        }
        if resources.is_empty() && removed.is_empty() {
            self.acknowledged = self.revision;
            return Ok(None);
        }
        let removed = removed.iter().map(ToString::to_string).collect();
        Ok(Some(self.respond(resources, removed)))
    }

    fn in_scope(&self, entry: &Entry) -> bool {
        entry.groups.iter().any(|group| *group == self.scope || group == EVERY_WAYPOINT)
    }

    /// Whether a client of a scoped type holds what is no longer its own.
    fn left_scope(&self, name: &Name, entry: &Entry) -> bool {
        self.kind.scoped && self.held.contains(name) && !self.in_scope(entry)
    }

    fn wants(&self, name: &Name, entry: &Entry) -> bool {
        if self.kind.scoped {
            return self.in_scope(entry);
        }
        self.wildcard
            || self.held.contains(name)
            || self.names.contains(&**name)
            || entry.aliases.iter().any(|a| self.names.contains(a))
            || entry.groups.iter().any(|g| self.names.contains(g) || *g == node_group(&self.node))
    }

    fn resource(&self, name: &Name, entry: &Entry) -> Resource {
        // Only a client that asks by alias needs them.
        let aliases = if self.wildcard { Vec::new() } else { entry.aliases.to_vec() };
        Resource {
            name: name.to_string(),
            version: entry.version.to_string(),
            aliases,
            resource: Some(Any {
                type_url: self.kind.url.to_owned(),
                value: Bytes::clone(&entry.body).into(),
            }),
            ..Resource::default()
        }
    }

    fn respond(
        &mut self,
        resources: Vec<Resource>,
        removed_resources: Vec<String>,
    ) -> DeltaDiscoveryResponse {
        self.nonce += 1;
        self.unacknowledged = true;
        DeltaDiscoveryResponse {
            type_url: self.kind.url.to_owned(),
            nonce: self.nonce.to_string(),
            system_version_info: self.revision.to_string(),
            resources,
            removed_resources,
        }
    }
}

/// Names and versions that a client holds.
trait Held {
    fn names(&self) -> impl Iterator<Item = &str>;
    fn version(&self, name: &str) -> Option<&str>;
}

impl<S: std::hash::BuildHasher> Held for std::collections::HashMap<String, String, S> {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.keys().map(String::as_str)
    }

    fn version(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
