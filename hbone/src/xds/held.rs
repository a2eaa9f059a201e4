//! What the client holds of one type, and the requests that follow from it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{Handler, Rejected, Resource, apply};
use crate::wire::pb::envoy::config::core::v3::Node;
use crate::wire::pb::envoy::service::discovery::v3 as pb;
use crate::wire::pb::google::rpc::Status;

/// Longest error that goes back in a NACK, in bytes: a thousand bad resources need no page each.
pub(super) const MAX_ERROR: usize = 4096;

/// One watched type: who applies it, and which versions are held.
pub(super) struct Watch {
    pub(super) type_url: String,
    pub(super) handler: Arc<dyn Handler>,
    /// Whether this stream's first response came.
    pub(super) answered: bool,
    /// Whether a first state was ever taken.
    pub(super) synced: bool,
    held: HashMap<String, String>,
}

impl Watch {
    pub(super) fn new(type_url: &str, handler: Arc<dyn Handler>) -> Self {
        let type_url = type_url.to_owned();
        Self { type_url, handler, answered: false, synced: false, held: HashMap::new() }
    }

    /// The first request of a stream: an empty subscription, which means everything, and the
    /// versions held from earlier streams, so that only the difference is sent.
    ///
    /// A client that asks for single names would put `*` into both lists here, and the names
    /// it waits for with an empty version into `initial_resource_versions`.
    pub(super) fn first_request(&self, node: &Node) -> pb::DeltaDiscoveryRequest {
        pb::DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: self.type_url.clone(),
            initial_resource_versions: self.held.clone(),
            ..Default::default()
        }
    }

    /// Applies a response and makes its ACK or NACK.
    pub(super) async fn take(
        &mut self,
        response: pb::DeltaDiscoveryResponse,
    ) -> pb::DeltaDiscoveryRequest {
        let (resources, mut rejected) = self.check(response.resources);
        let offered = resources.len() + rejected.len();
        let versions: Vec<(String, String)> =
            resources.iter().map(|r| (r.name.clone(), r.version.clone())).collect();
        let removed = response.removed_resources;
        rejected.extend(apply::apply(&self.handler, resources, removed.clone()).await);
        let taken = self.record(versions, &removed, &rejected);
        self.answered = true;
        // A first state of which nothing could be used is no state.
        self.synced |= taken > 0 || offered == 0;
        pb::DeltaDiscoveryRequest {
            error_detail: error_detail(&rejected),
            ..acknowledge(&response.type_url, response.nonce)
        }
    }

    /// Takes the envelope off each resource; one without a name, without content or of another
    /// type is rejected.
    fn check(&self, resources: Vec<pb::Resource>) -> (Vec<Resource>, Vec<Rejected>) {
        let mut rejected = Vec::new();
        let mut taken = Vec::with_capacity(resources.len());
        for resource in resources {
            let pb::Resource { name, version, resource: Some(any), .. } = resource else {
                rejected.push(Rejected { name: resource.name, error: "no content".to_owned() });
                continue;
            };
            if name.is_empty() {
                rejected.push(Rejected { name, error: "no name".to_owned() });
            } else if any.type_url == self.type_url {
                taken.push(Resource { name, version, bytes: Bytes::from(any.value) });
            } else {
                let error = format!("type {:?}, expected {:?}", any.type_url, self.type_url);
                rejected.push(Rejected { name, error });
            }
        }
        (taken, rejected)
    }

    /// Notes what is held now, and counts what was taken.
    ///
    /// A rejected resource is not held at the version that was rejected. If an earlier one is
    /// still applied, its name stays with an empty version: it is sent again on reconnect, and
    /// if it is gone by then, its removal is.
    fn record(
        &mut self,
        versions: Vec<(String, String)>,
        removed: &[String],
        rejected: &[Rejected],
    ) -> usize {
        let rejected: HashSet<&str> = rejected.iter().map(|r| r.name.as_str()).collect();
        for name in &rejected {
            if let Some(version) = self.held.get_mut(*name) {
                version.clear();
            }
        }
        let mut taken = 0;
        for (name, version) in versions {
            if !rejected.contains(name.as_str()) {
                self.held.insert(name, version);
                taken += 1;
            }
        }
        for name in removed {
            if !rejected.contains(name.as_str()) {
                self.held.remove(name);
            }
        }
        taken
    }
}

/// An ACK: the type and the nonce, no names.
pub(super) fn acknowledge(type_url: &str, nonce: String) -> pb::DeltaDiscoveryRequest {
    let type_url = type_url.to_owned();
    pb::DeltaDiscoveryRequest { type_url, response_nonce: nonce, ..Default::default() }
}

/// The errors joined by `; `, or none if nothing was rejected.
fn error_detail(rejected: &[Rejected]) -> Option<Status> {
    if rejected.is_empty() {
        return None;
    }
    let mut message = String::new();
    for (index, one) in rejected.iter().enumerate() {
        if index > 0 {
            message.push_str("; ");
        }
        if message.len() > MAX_ERROR {
            message.extend(["and ", &(rejected.len() - index).to_string(), " more"]);
            break;
        }
        message.extend(format!("{}: {}", one.name, one.error).chars().take(MAX_ERROR));
    }
    Some(Status { message, ..Default::default() })
}
