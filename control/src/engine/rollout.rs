//! A change of who goes through which waypoint, in steps that lose no request.
//!
//! Two proxies have to hear of it: the caller's, which takes the waypoint's way, and the
//! destination's, which lets in nobody but the waypoint. They hear of it at different moments,
//! so the stricter half comes last and goes first:
//!
//! 1. relax: what the guards of before and after both let in, still on the old way
//! 2. bind: the new way
//! 3. tighten: the new guards
//! 4. withdraw: from a waypoint that was left, the policies and routes that it had; until then
//!    requests come through it, and would pass unguarded
//!
//! Between two steps every connected node proxy acknowledges, or [`PATIENCE`] passes: then it
//! goes on all the same, and a proxy that lags refuses (design: fail closed). Before a step that
//! closes the old way, what is on it has [`IN_FLIGHT`] to arrive, and a waypoint that was left
//! keeps what it had for [`WITHDRAWAL`], since it lets late callers in for a part of that. What was not
//! served before, such as a new pod, has no before to be kept and is strict at once.
//!
//! Pure; docs/wire.md, "Waypoints".

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hbone::wire::pb::istio::workload as pb;
use prost::Message;
use prost::bytes::Bytes;

use crate::model::dirty::Dirty;
use crate::translate::guard::Guard;
use crate::translate::{Derived, Family, Resource};

/// How long a step waits for the acknowledgements of the one before.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long requests that set out on the old way have to be answered before it is closed.
pub const IN_FLIGHT: Duration = Duration::from_secs(1);

/// How long a waypoint that was left keeps policies and routes; longer than it lets those in who
/// have not heard of the new way (`GRACE` of the waypoint, 2 s).
pub const WITHDRAWAL: Duration = Duration::from_secs(5);

/// What is published together.
pub type Step = Vec<(Dirty, Derived)>;

/// What is published of one thing now.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Its guards.
    pub guards: BTreeSet<Guard>,
    /// Its workloads and services by name, encoded.
    pub addresses: BTreeMap<String, Bytes>,
    /// The waypoints that have its policies and routes.
    pub holders: BTreeMap<(Family, String), Vec<String>>,
}

/// The steps from what is in force to what was derived; at least one. Where no guard changes,
/// it is one.
pub fn steps(
    derived: Step,
    in_force: impl Fn(&Dirty, &Derived) -> Option<InForce>,
) -> VecDeque<Step> {
    let old: Vec<Option<InForce>> = derived.iter().map(|(d, new)| in_force(d, new)).collect();
    let changed = |(old, (_, new)): (&Option<InForce>, &(Dirty, Derived))| {
        old.as_ref().is_some_and(|old| old.guards != new.guards)
    };
    if !old.iter().zip(&derived).any(changed) {
        return VecDeque::from([derived]);
    }
    let (mut relax, mut bind, mut tighten) = (Vec::new(), Vec::new(), Vec::new());
    let mut withdraw = Vec::new();
    let mut relaxes = false;
    for ((dirty, new), old) in derived.into_iter().zip(old) {
        let Some(old) = old else {
            relax.push((dirty.clone(), new.clone()));
            bind.push((dirty, new));
            continue;
        };
        let guards = common(&old.guards, &new.guards);
        relaxes |= guards != old.guards;
        let bound = held(guarded(&new, &guards), &old.holders);
        if bound.resources.iter().zip(&new.resources).any(|(a, b)| a.groups != b.groups) {
            withdraw.push((dirty.clone(), new.clone()));
        }
        relax.push((dirty.clone(), on_the_way_of(&bound, &old.addresses)));
        if guards != new.guards {
            tighten.push((dirty.clone(), new));
        }
        bind.push((dirty, bound));
    }
    let relax = if relaxes { relax } else { Vec::new() };
    [relax, bind, tighten, withdraw].into_iter().filter(|step| !step.is_empty()).collect()
}

/// Guards that let in whoever one of both lets in.
fn common(old: &BTreeSet<Guard>, new: &BTreeSet<Guard>) -> BTreeSet<Guard> {
    let place = |guard: &Guard| (guard.namespace.clone(), guard.port);
    let old: BTreeMap<_, _> = old.iter().map(|guard| (place(guard), guard)).collect();
    let both = new.iter().filter_map(|guard| Some((guard, old.get(&place(guard))?)));
    let union = both.map(|(new, old)| Guard {
        principals: old.principals.union(&new.principals).cloned().collect(),
        ..new.clone()
    });
    union.collect()
}

/// The same with other guards.
fn guarded(derived: &Derived, guards: &BTreeSet<Guard>) -> Derived {
    if *guards == derived.guards {
        return derived.clone();
    }
    let own: BTreeSet<String> = derived.guards.iter().map(Guard::full_name).collect();
    let mut other = Derived { guards: guards.clone(), ..derived.clone() };
    edit(&mut other, |_, address| {
        if let Some(pb::address::Type::Workload(workload)) = &mut address.r#type {
            let policies = std::mem::take(&mut workload.authorization_policies);
            let kept = policies.into_iter().filter(|name| !own.contains(name));
            let all: BTreeSet<String> = kept.chain(guards.iter().map(Guard::full_name)).collect();
            workload.authorization_policies = all.into_iter().collect();
        }
    });
    other
}

/// The same, with whoever has its policies and routes now.
fn held(mut derived: Derived, holders: &BTreeMap<(Family, String), Vec<String>>) -> Derived {
    for resource in &mut derived.resources {
        let key = (resource.family, resource.name.clone());
        let Some(holders) = holders.get(&key) else { continue };
        let all: BTreeSet<&String> = holders.iter().chain(&resource.groups).collect();
        resource.groups = all.into_iter().cloned().collect();
    }
    derived
}

/// Whether a step changes no way and no guard.
pub fn is_withdrawal(step: &Step) -> bool {
    step.iter().all(|(_, derived)| addresses(derived).next().is_none())
}

/// Whether waypoints guard something with resources of that family.
pub fn is_held(family: Family) -> bool {
    matches!(
        family,
        Family::WaypointPolicy | Family::WaypointRoute | Family::WaypointAuthentication
    )
}

/// The same, bound as before.
fn on_the_way_of(derived: &Derived, old: &BTreeMap<String, Bytes>) -> Derived {
    let mut other = derived.clone();
    edit(&mut other, |name, address| {
        // What is new has no way that it was on. We encoded it ourselves.
        let Some(Ok(old)) = old.get(name).map(|old| pb::Address::decode(old.clone())) else {
            return;
        };
        match (&mut address.r#type, old.r#type) {
            (Some(pb::address::Type::Workload(new)), Some(pb::address::Type::Workload(old))) => {
                new.waypoint = old.waypoint;
            }
            (Some(pb::address::Type::Service(new)), Some(pb::address::Type::Service(old))) => {
                new.waypoint = old.waypoint;
                new.weighted_waypoints = old.weighted_waypoints;
            }
            _ => {}
        }
    });
    other
}

/// The resources of a derivation that a waypoint's binding is in.
pub fn addresses(derived: &Derived) -> impl Iterator<Item = &Resource> {
    derived.resources.iter().filter(|resource| resource.family == Family::Address)
}

/// Edits each of them, by name.
fn edit(derived: &mut Derived, edit: impl Fn(&str, &mut pb::Address)) {
    let resources = derived.resources.iter_mut();
    for resource in resources.filter(|r| r.family == Family::Address) {
        // We encoded it ourselves.
        if let Ok(mut address) = pb::Address::decode(resource.body.as_slice()) {
            edit(&resource.name, &mut address);
            resource.body = address.encode_to_vec();
        }
    }
}

#[cfg(test)]
mod tests;
