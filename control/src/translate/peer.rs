//! PeerAuthentication. docs/wire.md, "Authorization".
//!
//! STRICT becomes a policy that refuses whoever has no identity. Where single ports differ, a
//! policy of the PeerAuthentication's own takes its place.

use hbone::wire::pb::istio::security as pb;
use hbone::wire::pb::istio::security::string_match::MatchType;
use prost::Message;

use super::{Derived, Family, Resource};
use crate::model::object::{Key, Kind, Map, MtlsMode, ObjectRef, PeerAuthentication};
use crate::model::world::{World, selects};
use crate::status::Condition;

const STRICT: &str = "istio_converted_static_strict";

/// Derives the policy that refuses whoever has no identity; there is one as soon as there is
/// any PeerAuthentication.
pub fn derive_strict(world: &World) -> Derived {
    let mut derived = Derived::default();
    if world.has_peers() {
        let key = strict_key(world);
        derived.resources.push(policy(&key, vec![rule(vec![stranger()])]));
    }
    derived
}

/// Derives the policy of a PeerAuthentication's single ports, if it needs one.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(peer) = world.peer(key) else { return derived };
    let name = ObjectRef::new(Kind::PeerAuthentication, &key.namespace, &key.name);
    derived.conditions.push((name, vec![accepted(world, peer)]));
    if let Need::Own(rules) = need(world, peer) {
        derived.resources.push(policy(&converted_key(key), rules));
    }
    derived
}

/// Who enforces it, and what of it nobody does.
fn accepted(world: &World, peer: &PeerAuthentication) -> Condition {
    let ignored =
        if peer.selector.is_some() && peer.meta.key.namespace == world.mesh().root_namespace {
            "spec.selector has no meaning in the root namespace; write it in the pods' own"
        } else if peer.selector.is_none() && !peer.ports.is_empty() {
            "spec.portLevelMtls needs a spec.selector; without one it has no effect"
        } else {
            return Condition::new("ZtunnelAccepted", true, "Accepted", "enforced as written");
        };
    Condition::new("ZtunnelAccepted", false, "UnsupportedValue", ignored)
}

/// The name of the policy that applies to a workload of `namespace`, if any.
pub fn choosing(world: &World, namespace: &str, labels: &Map) -> Option<String> {
    let is_root = namespace == world.mesh().root_namespace;
    let chosen = world
        .peers_in(namespace)
        .filter(|_| !is_root)
        .filter(|p| concerns(p, labels))
        .min_by_key(|p| age(p));
    match chosen.map(|peer| (peer, need(world, peer))) {
        Some((peer, Need::Own(_))) => Some(converted_key(&peer.meta.key).to_string()),
        Some((_, Need::Static)) => Some(strict_key(world).to_string()),
        Some((_, Need::Nothing)) => None,
        None => {
            let strict = inherited(world, namespace) == MtlsMode::Strict;
            strict.then(|| strict_key(world).to_string())
        }
    }
}

/// Whether a PeerAuthentication is about workloads with these labels, and not about its whole
/// scope.
fn concerns(peer: &PeerAuthentication, labels: &Map) -> bool {
    peer.any_pod || peer.selector.as_ref().is_some_and(|s| selects(s, labels))
}

/// The policy that a PeerAuthentication with a selector needs.
enum Need {
    Nothing,
    /// The one for everybody.
    Static,
    /// One of its own.
    Own(Vec<pb::Rule>),
}

fn need(world: &World, peer: &PeerAuthentication) -> Need {
    let namespace = &peer.meta.key.namespace;
    let whole = peer.selector.is_none() && !peer.any_pod;
    if whole || *namespace == world.mesh().root_namespace {
        return Need::Nothing;
    }
    let strict = match peer.mode {
        MtlsMode::Unset => inherited(world, namespace) == MtlsMode::Strict,
        mode => mode == MtlsMode::Strict,
    };
    let different = peer.ports.iter().filter(|(_, mode)| (**mode == MtlsMode::Strict) != strict);
    let ports: Vec<u32> = different.map(|(port, _)| u32::from(*port)).collect();
    match (strict, ports.is_empty()) {
        (true, true) => Need::Static,
        (false, true) => Need::Nothing,
        (true, false) => {
            let exempt = ports.into_iter().map(|port| pb::Match {
                not_destination_ports: vec![port],
                ..pb::Match::default()
            });
            Need::Own(vec![rule(std::iter::once(stranger()).chain(exempt).collect())])
        }
        (false, false) => {
            let guarded = ports.into_iter().map(|port| {
                let port = pb::Match { destination_ports: vec![port], ..pb::Match::default() };
                rule(vec![stranger(), port])
            });
            Need::Own(guarded.collect())
        }
    }
}

/// The mode of a namespace: its own, else the mesh's.
fn inherited(world: &World, namespace: &str) -> MtlsMode {
    let root = world.mesh().root_namespace.as_str();
    for namespace in [namespace, root] {
        let whole = world.peers_in(namespace).filter(|p| p.selector.is_none());
        if let Some(peer) = whole.min_by_key(|p| age(p)).filter(|p| p.mode != MtlsMode::Unset) {
            return peer.mode;
        }
    }
    MtlsMode::Unset
}

/// Among equals the oldest counts; without a date the name decides, after all with one.
fn age(peer: &PeerAuthentication) -> (bool, &str, &str) {
    (peer.meta.created.is_empty(), &peer.meta.created, &peer.meta.key.name)
}

fn strict_key(world: &World) -> Key {
    Key::new(&world.mesh().root_namespace, STRICT)
}

fn converted_key(peer: &Key) -> Key {
    Key::new(&peer.namespace, &format!("converted_peer_authentication_{}", peer.name))
}

/// Whoever has no identity.
fn stranger() -> pb::Match {
    let anybody = pb::StringMatch { match_type: Some(MatchType::Presence(())) };
    pb::Match { not_principals: vec![anybody], ..pb::Match::default() }
}

fn rule(matches: Vec<pb::Match>) -> pb::Rule {
    pb::Rule { clauses: matches.into_iter().map(|m| pb::Clause { matches: vec![m] }).collect() }
}

fn policy(key: &Key, rules: Vec<pb::Rule>) -> Resource {
    let message = pb::Authorization {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        scope: pb::Scope::WorkloadSelector.into(),
        action: pb::Action::Deny.into(),
        rules,
        ..pb::Authorization::default()
    };
    Resource {
        family: Family::Authorization,
        name: key.to_string(),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: Vec::new(),
    }
}
