//! What keeps callers from walking around a waypoint: a DENY for whoever is not it.
//!
//! docs/wire.md, "Waypoints". The policy is derived for each target port of a bound service,
//! so that any node proxy of the contract enforces it.

use std::collections::{BTreeMap, BTreeSet};

use hbone::brand;
use hbone::wire::pb::istio::security::{
    Action, Authorization, Clause, Match, Rule, Scope, StringMatch, string_match::MatchType,
};
use prost::Message;

use super::membership::Member;
use super::waypoint::{self, Bound, Trouble};
use super::{Family, Resource};
use crate::model::world::World;
use crate::state::digest;

/// A policy that refuses everybody but some waypoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard {
    /// Where the guarded workloads are.
    pub namespace: String,
    /// The guarded target port; `None` is all.
    pub port: Option<u16>,
    /// The identities of the waypoints, as policies write them.
    pub principals: BTreeSet<String>,
}

impl Guard {
    /// Its name within the namespace, which is no name of an object of Kubernetes.
    pub fn name(&self) -> String {
        let port = self.port.map_or_else(|| "all".to_owned(), |p| p.to_string());
        let who: Vec<&str> = self.principals.iter().map(String::as_str).collect();
        let hash = digest::short(who.join(",").as_bytes());
        format!("{}{port}_{hash}", brand::GUARD_PREFIX)
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name())
    }

    /// The policy on the wire.
    pub fn resource(&self) -> Resource {
        let exact = |p: &String| StringMatch { match_type: Some(MatchType::Exact(p.clone())) };
        let strangers = Match {
            not_principals: self.principals.iter().map(exact).collect(),
            ..Match::default()
        };
        let port = self
            .port
            .map(|port| Match { destination_ports: vec![u32::from(port)], ..Match::default() });
        let matches = std::iter::once(strangers).chain(port);
        let policy = Authorization {
            name: self.name(),
            namespace: self.namespace.clone(),
            scope: Scope::WorkloadSelector.into(),
            action: Action::Deny.into(),
            rules: vec![Rule { clauses: matches.map(|m| Clause { matches: vec![m] }).collect() }],
            ..Authorization::default()
        };
        Resource {
            family: Family::Authorization,
            name: self.full_name(),
            body: policy.encode_to_vec(),
            aliases: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// The guards of a workload: `services` are its bound services, `own` the waypoint of its own
/// address. Where several lead to one port, each of their waypoints may come.
pub fn of_workload(
    world: &World,
    namespace: &str,
    services: &[(&Member<'_>, &Bound)],
    own: Option<&Bound>,
) -> BTreeSet<Guard> {
    let mut ports: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (member, bound) in services {
        for (_, target) in &member.ports {
            ports.entry(*target).or_default().extend(identities(world, bound));
        }
        all.extend(identities(world, bound));
    }
    let own = own.map(|bound| identities(world, bound)).unwrap_or_default();
    let mut guards = BTreeSet::new();
    for (port, mut principals) in ports {
        principals.extend(own.iter().cloned());
        guards.insert(Guard { namespace: namespace.to_owned(), port: Some(port), principals });
    }
    if !own.is_empty() {
        all.extend(own);
        guards.insert(Guard { namespace: namespace.to_owned(), port: None, principals: all });
    }
    guards
}

/// A principal that nobody has. What lets nobody in has to name one: a match without principals
/// never holds, and would let everybody in.
const NOBODY: &str = "nobody";

/// Who may come: not a waypoint that does not let this namespace attach.
fn identities(world: &World, bound: &Bound) -> BTreeSet<String> {
    let denied = matches!(bound.trouble, Some(Trouble::Denied(_)));
    let primary = Some(&bound.primary).filter(|_| !denied);
    let canary = bound.canary.iter().map(|(key, _)| key);
    let who = primary.into_iter().chain(canary);
    let mut who: BTreeSet<String> = who.map(|g| waypoint::principal(world, g)).collect();
    if who.is_empty() {
        who.insert(NOBODY.to_owned());
    }
    who
}

#[cfg(test)]
mod tests;
