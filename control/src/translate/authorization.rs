//! AuthorizationPolicy for the node proxies. docs/wire.md, "Authorization".
//!
//! What layer 4 cannot express makes a policy stricter, never laxer: an ALLOW rule with it is
//! left out, a DENY rule loses the part and so matches more. The condition says so.

mod matches;

use hbone::wire::pb::istio::security as pb;
use prost::Message;

use super::{Derived, Family, Resource};
use crate::model::object::{Action, AuthorizationPolicy, Key, Kind, Map, ObjectRef, Rule};
use crate::model::world::{World, selects};
use crate::status::Condition;

/// Derives a policy and its condition.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(policy) = world.policy(key) else { return derived };
    let name = ObjectRef::new(Kind::AuthorizationPolicy, &key.namespace, &key.name);
    match fate(policy) {
        Fate::Sent => {}
        Fate::Elsewhere => return derived,
        Fate::Unsupported(message) => {
            let condition = Condition::new("ZtunnelAccepted", false, "UnsupportedValue", message);
            derived.conditions.push((name, vec![condition]));
            return derived;
        }
    }
    let mut stricter = Vec::new();
    let rules = policy.rules.iter().enumerate();
    let rules = rules.filter_map(|(i, rule)| self::rule(policy, i, rule, &mut stricter)).collect();
    derived.conditions.push((name, vec![accepted(&stricter)]));
    let message = pb::Authorization {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        scope: scope(world, policy).into(),
        action: action(policy.action).into(),
        rules,
        ..pb::Authorization::default()
    };
    derived.resources.push(Resource {
        family: Family::Authorization,
        name: key.to_string(),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups: Vec::new(),
    });
    derived
}

/// The names of the policies that choose a workload of `namespace` by its labels.
pub fn choosing<'a>(
    world: &'a World,
    namespace: &'a str,
    labels: &'a Map,
) -> impl Iterator<Item = String> + 'a {
    let root = world.mesh().root_namespace.as_str();
    let everywhere = world.policies_in(root).filter(move |_| root != namespace);
    world
        .policies_in(namespace)
        .chain(everywhere)
        .filter(|p| fate(p) == Fate::Sent)
        .filter(|p| p.selector.as_ref().is_some_and(|s| selects(s, labels)))
        .map(|p| p.meta.key.to_string())
}

/// Whether node proxies get a policy.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    /// A waypoint enforces it.
    Elsewhere,
    /// Nobody does, although its author may expect it.
    Unsupported(&'static str),
}

fn fate(policy: &AuthorizationPolicy) -> Fate {
    if policy.dry_run {
        return Fate::Unsupported("dry run is not available; the policy has no effect");
    }
    if !policy.targets.is_empty() {
        return Fate::Elsewhere;
    }
    match policy.action {
        Action::Allow | Action::Deny => Fate::Sent,
        Action::Audit => Fate::Unsupported("action AUDIT needs a waypoint in spec.targetRefs"),
        Action::Custom => Fate::Unsupported("action CUSTOM needs a waypoint in spec.targetRefs"),
    }
}

fn accepted(stricter: &[String]) -> Condition {
    if stricter.is_empty() {
        return Condition::new("ZtunnelAccepted", true, "Accepted", "enforced as written");
    }
    Condition::new("ZtunnelAccepted", true, "UnsupportedValue", stricter.join("; "))
}

fn scope(world: &World, policy: &AuthorizationPolicy) -> pb::Scope {
    if policy.selector.is_some() {
        pb::Scope::WorkloadSelector
    } else if policy.meta.key.namespace == world.mesh().root_namespace {
        pb::Scope::Global
    } else {
        pb::Scope::Namespace
    }
}

/// Only the two that are sent; see [`fate`].
fn action(action: Action) -> pb::Action {
    match action {
        Action::Allow => pb::Action::Allow,
        Action::Deny | Action::Audit | Action::Custom => pb::Action::Deny,
    }
}

fn rule(
    policy: &AuthorizationPolicy,
    index: usize,
    rule: &Rule,
    stricter: &mut Vec<String>,
) -> Option<pb::Rule> {
    let deny = policy.action == Action::Deny;
    let everything = || deny.then(pb::Rule::default);
    let read = match rule {
        Rule::Read(read) => read,
        Rule::Unreadable => {
            let effect = if deny { "matches everything" } else { "is left out" };
            stricter.push(format!("spec.rules[{index}] cannot be read and {effect}"));
            return everything();
        }
    };
    let clauses = matches::clauses(read, &policy.meta.key.namespace);
    let clauses = match clauses {
        Ok(clauses) => clauses,
        Err(reason) => {
            let effect = if deny { "matches everything" } else { "is left out" };
            stricter.push(format!("spec.rules[{index}].{reason}; the rule {effect}"));
            return everything();
        }
    };
    if !clauses.unsupported.is_empty() {
        let what = clauses.unsupported.join(", ");
        let effect = if deny { "matches without them" } else { "is left out" };
        stricter.push(format!(
            "spec.rules[{index}]: {what} cannot be enforced at layer 4 and the rule {effect}; name a waypoint in spec.targetRefs"
        ));
        if !deny {
            return None;
        }
    }
    Some(pb::Rule { clauses: clauses.clauses })
}
