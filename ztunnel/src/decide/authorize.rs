//! Layer 4 authorization (docs/wire.md, "Authorization").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::matching::{Caller, block_contains};
use hbone::wire::authorization::{Action, Authorization, Clause, Match, Rule};
use hbone::wire::workload::Workload;

use super::canonical;
use crate::state::Snapshot;

/// What policies look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    caller: Caller,
    source: IpAddr,
    destination: SocketAddr,
}

/// Leave to dial the application. Only [`authorize`] makes one.
///
/// It holds as long as the policies stay: when they change, ask [`Permit::still_holds`] and
/// close the connection if it does not.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    call: Call,
    workload: Arc<Workload>,
    policy: Option<Arc<str>>,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A DENY policy matches.
    #[error("denied by policy {0}")]
    Policy(Arc<str>),
    /// There are ALLOW policies and none matches.
    #[error("no allow policy matched")]
    NoAllowMatched,
    /// No policies were received yet, so everything is refused.
    #[error("policies are not known yet")]
    NotReady,
}

/// A dry-run policy that would have matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// `namespace/name`.
    pub policy: Arc<str>,
    /// What it would have done.
    pub action: Action,
}

impl Call {
    /// A call by `caller` from `source` to `destination`, the address and port that are really
    /// dialled. IPv4-mapped addresses count as IPv4.
    pub fn new(caller: Caller, source: IpAddr, destination: SocketAddr) -> Self {
        Self { caller, source: source.to_canonical(), destination: canonical(destination) }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The caller's address.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// What is called.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }
}

/// Decides whether `call` may reach `workload`.
///
/// Any enforced DENY that matches refuses. Without an enforced ALLOW the call passes,
/// otherwise one must match. Dry-run policies do not count.
///
/// # Errors
/// The policy that refuses, or why none was asked.
pub fn authorize(
    snapshot: &Snapshot,
    workload: &Arc<Workload>,
    call: Call,
) -> Result<Permit, Denied> {
    let policy = decide(snapshot, workload, &call)?;
    Ok(Permit { call, workload: Arc::clone(workload), policy })
}

/// The dry-run policies that match `call`, for the log.
pub fn rehearse(snapshot: &Snapshot, workload: &Workload, call: &Call) -> Vec<Rehearsed> {
    let rehearsed = snapshot.policies_of(workload).filter(|policy| policy.dry_run);
    let matching = rehearsed.filter(|policy| policy_matches(policy, call));
    matching.map(|p| Rehearsed { policy: Arc::clone(&p.key), action: p.action }).collect()
}

impl Permit {
    /// The ALLOW policy that matched; none if there is no ALLOW policy.
    pub fn policy(&self) -> Option<&Arc<str>> {
        self.policy.as_ref()
    }

    /// What was allowed.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The workload that is called.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// Decides again, on the workload's present version; one that is gone keeps its last, so
    /// that its open connections still obey its namespace's policies.
    ///
    /// # Errors
    /// As [`authorize`].
    pub fn still_holds(&self, snapshot: &Snapshot) -> Result<(), Denied> {
        let workload = snapshot.workload(&self.workload.uid).unwrap_or(&self.workload);
        decide(snapshot, workload, &self.call).map(drop)
    }
}

/// The ALLOW policy that lets the call through, if one was needed.
fn decide(
    snapshot: &Snapshot,
    workload: &Workload,
    call: &Call,
) -> Result<Option<Arc<str>>, Denied> {
    if !snapshot.policies_known() {
        return Err(Denied::NotReady);
    }
    let enforced = || snapshot.policies_of(workload).filter(|policy| !policy.dry_run);
    let mut denies = enforced().filter(|policy| policy.action == Action::Deny);
    if let Some(policy) = denies.find(|policy| policy_matches(policy, call)) {
        return Err(Denied::Policy(Arc::clone(&policy.key)));
    }
    let mut allows = enforced().filter(|policy| policy.action == Action::Allow).peekable();
    if allows.peek().is_none() {
        return Ok(None);
    }
    let allowed = allows.find(|policy| policy_matches(policy, call));
    allowed.map(|policy| Some(Arc::clone(&policy.key))).ok_or(Denied::NoAllowMatched)
}

/// Rules are or-ed: none never matches.
fn policy_matches(policy: &Authorization, call: &Call) -> bool {
    policy.rules.iter().any(|rule| rule_matches(rule, call))
}

/// Clauses are and-ed: none matches everything.
fn rule_matches(rule: &Rule, call: &Call) -> bool {
    rule.clauses.iter().all(|clause| clause_matches(clause, call))
}

/// Matches are or-ed, but none is true.
fn clause_matches(clause: &Clause, call: &Call) -> bool {
    clause.matches.is_empty() || clause.matches.iter().any(|one| match_holds(one, call))
}

/// Conditions are and-ed; a match without any is skipped, that is, never matches.
fn match_holds(m: &Match, call: &Call) -> bool {
    if m.never || (!m.always && no_condition(m)) {
        return false;
    }
    let caller = &call.caller;
    m.namespaces.holds(|want| want.matches(Some(caller.namespace())))
        && m.principals.holds(|want| want.matches(caller.principal()))
        && m.source_ips.holds(|block| block_contains(block, call.source))
        && m.destination_ips.holds(|block| block_contains(block, call.destination.ip()))
        && m.destination_ports.holds(|port| *port == call.destination.port())
        && m.service_accounts.holds(|want| want.matches(caller))
}

fn no_condition(m: &Match) -> bool {
    m.namespaces.is_empty()
        && m.principals.is_empty()
        && m.source_ips.is_empty()
        && m.destination_ips.is_empty()
        && m.destination_ports.is_empty()
        && m.service_accounts.is_empty()
}

#[cfg(test)]
mod tests;
