//! AuthorizationPolicy with targetRefs, for the waypoints of its targets.

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use prost::Message;

use super::offer::{groups, offer, services};
use super::{Binding, group, is_waypoint};
use crate::api::security::{Condition as When, Operation, Source};
use crate::model::object::{
    Action, AuthorizationPolicy, Key, Kind, ObjectRef, ReadRule, Rule, TargetRef,
};
use crate::model::world::World;
use crate::status::Condition;
use crate::translate::{Derived, Family, Resource};

/// Adds the policy `key` for the waypoints that it selects, and its condition.
pub fn add(world: &World, key: &Key, derived: &mut Derived) {
    let Some(policy) = world.policy(key).filter(|p| !p.targets.is_empty() && !p.dry_run) else {
        return;
    };
    let mut groups = BTreeSet::new();
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for (index, target) in policy.targets.iter().enumerate() {
        match self::target(world, key, target, derived) {
            Ok((target, waypoints)) => {
                targets.extend(target);
                groups.extend(waypoints);
            }
            Err(problem) => problems.push(format!("spec.targetRefs[{index}] {problem}")),
        }
    }
    let rules: Vec<_> = policy.rules.iter().map(|rule| self::rule(policy, rule)).collect();
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.unreadable.is_empty()) {
        let effect =
            if policy.action == Action::Allow { "matches nothing" } else { "matches everything" };
        problems.push(format!("spec.rules[{index}] {} and {effect}", rule.unreadable));
    }
    let name = ObjectRef::new(Kind::AuthorizationPolicy, &key.namespace, &key.name);
    condition(name, !targets.is_empty(), &problems, derived);
    if targets.is_empty() {
        return;
    }
    derived.resources.push(Resource {
        family: Family::WaypointPolicy,
        name: format!("AuthorizationPolicy/{key}"),
        body: message(policy, key, targets, rules).encode_to_vec(),
        aliases: Vec::new(),
        groups: groups.into_iter().collect(),
    });
}

fn message(
    policy: &AuthorizationPolicy,
    key: &Key,
    targets: Vec<pb::PolicyTarget>,
    rules: Vec<pb::PolicyRule>,
) -> pb::Policy {
    let action = match policy.action {
        Action::Allow => pb::PolicyAction::Allow,
        Action::Deny => pb::PolicyAction::Deny,
        Action::Audit => pb::PolicyAction::Audit,
        Action::Custom => pb::PolicyAction::Custom,
    };
    pb::Policy {
        object: Some(super::object("AuthorizationPolicy", key)),
        action: action.into(),
        targets,
        rules,
        provider: policy.provider.clone(),
        dry_run: false,
    }
}

/// Says what waypoints make of the object `name`; `sent` if any of them has it.
pub(super) fn condition(name: ObjectRef, sent: bool, problems: &[String], derived: &mut Derived) {
    let reason = match (sent, problems.is_empty()) {
        (false, _) => "Invalid",
        (true, true) => "Accepted",
        (true, false) => "PartiallyInvalid",
    };
    let condition = Condition::new("WaypointAccepted", sent, reason, problems.join("; "));
    match derived.conditions.iter_mut().find(|(of, _)| *of == name) {
        Some((_, conditions)) => conditions.push(condition),
        None => derived.conditions.push((name, vec![condition])),
    }
}

type Targeted = (Vec<pb::PolicyTarget>, BTreeSet<String>);

/// A target of the object `policy`, of a ServiceEntry one for each host, and the groups of its
/// waypoints.
pub(super) fn target(
    world: &World,
    policy: &Key,
    target: &TargetRef,
    derived: &mut Derived,
) -> Result<Targeted, String> {
    let key = Key::new(&policy.namespace, &target.name);
    if !(target.namespace.is_empty() || target.namespace == policy.namespace) {
        return Err(format!(
            "has namespace {:?}; a target is in the policy's own",
            target.namespace
        ));
    }
    match target.kind.as_str() {
        "Gateway" => {
            derived.looked_at.insert(ObjectRef::new(Kind::Gateway, &key.namespace, &key.name));
            let gateway = world
                .gateway(&key)
                .ok_or_else(|| format!("names Gateway {key}, which is not there"))?;
            if !is_waypoint(world, gateway, &mut derived.looked_at) {
                return Err(format!("names Gateway {key}, which is no waypoint"));
            }
            let kind = pb::policy_target::Kind::Gateway(super::object("Gateway", &key));
            Ok((vec![pb::PolicyTarget { kind: Some(kind) }], [group(world, &key)].into()))
        }
        "Service" | "ServiceEntry" => {
            let offer = offer(world, &target.group, &target.kind, &key, derived)?;
            let Binding::Bound(bound) = offer.binding(world, &mut derived.looked_at) else {
                return Err(format!("names {} {key}, which uses no waypoint", target.kind));
            };
            let target = |service| {
                let kind = pb::policy_target::Kind::Service(service);
                pb::PolicyTarget { kind: Some(kind) }
            };
            let services = services(world, offer).into_iter().map(target);
            Ok((services.collect(), groups(world, &bound)))
        }
        other => Err(format!("has kind {other:?}; write Service, ServiceEntry or Gateway")),
    }
}

fn rule(policy: &AuthorizationPolicy, rule: &Rule) -> pb::PolicyRule {
    let namespace = &policy.meta.key.namespace;
    let unreadable =
        |why: &str| pb::PolicyRule { unreadable: why.to_owned(), ..Default::default() };
    match rule {
        Rule::Unreadable => unreadable("cannot be read"),
        Rule::Read(read) => match unsupported(policy.action, read) {
            Some(why) => unreadable(why),
            None => pb::PolicyRule {
                from: read.from.iter().map(|source| self::source(source, namespace)).collect(),
                to: read.to.iter().map(operation).collect(),
                when: read.when.iter().map(when).collect(),
                unreadable: String::new(),
            },
        },
    }
}

/// What a waypoint does not judge yet.
fn unsupported(action: Action, rule: &ReadRule) -> Option<&'static str> {
    let jwt =
        |s: &Source| !(s.request_principals.is_empty() && s.not_request_principals.is_empty());
    let remote = |s: &Source| !(s.remote_ip_blocks.is_empty() && s.not_remote_ip_blocks.is_empty());
    let token = |when: &When| when.key.starts_with("request.auth.");
    if action == Action::Custom && (rule.from.iter().any(jwt) || rule.when.iter().any(token)) {
        return Some("compares what a token says, which no authorizer waits for");
    }
    rule.from.iter().any(remote).then_some("compares remoteIpBlocks; write ipBlocks")
}

fn source(source: &Source, namespace: &str) -> pb::Source {
    let account = |account: &String| {
        if account.contains('/') { account.clone() } else { format!("{namespace}/{account}") }
    };
    pb::Source {
        principals: source.principals.clone(),
        not_principals: source.not_principals.clone(),
        namespaces: source.namespaces.clone(),
        not_namespaces: source.not_namespaces.clone(),
        ip_blocks: source.ip_blocks.clone(),
        not_ip_blocks: source.not_ip_blocks.clone(),
        service_accounts: source.service_accounts.iter().map(account).collect(),
        not_service_accounts: source.not_service_accounts.iter().map(account).collect(),
        trust_domains: source.trust_domains.clone(),
        not_trust_domains: source.not_trust_domains.clone(),
        request_principals: source.request_principals.clone(),
        not_request_principals: source.not_request_principals.clone(),
    }
}

fn operation(operation: &Operation) -> pb::Operation {
    pb::Operation {
        hosts: operation.hosts.clone(),
        not_hosts: operation.not_hosts.clone(),
        ports: operation.ports.clone(),
        not_ports: operation.not_ports.clone(),
        methods: operation.methods.clone(),
        not_methods: operation.not_methods.clone(),
        paths: operation.paths.clone(),
        not_paths: operation.not_paths.clone(),
    }
}

fn when(when: &When) -> pb::Condition {
    pb::Condition {
        key: when.key.clone(),
        values: when.values.clone(),
        not_values: when.not_values.clone(),
    }
}

#[cfg(test)]
mod tests;
