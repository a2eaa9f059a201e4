//! Authorization policies: from the wire to what a request is compared with.
//!
//! Every comparison has three outcomes: yes, no, and unknown. Unknown is what could not be
//! understood or judged; an ALLOW policy takes it as no, a DENY or CUSTOM policy as yes, so
//! that doubt always makes a policy stricter (docs/wire.md, "Layer 7 policies").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hbone::identity::TrustDomain;
use hbone::matching::Caller;
use hbone::wire::address::NamespacedHostname;
use hbone::wire::pb::ambit::waypoint::v1 as pb;

use super::object::ObjectName;
use super::service_name;
use super::view::RequestView;
use crate::token::Bearer;
use rule::PolicyRule;
pub use truth::Truth;

mod condition;
mod operation;
mod rule;
mod source;
mod text;
mod truth;

/// An AuthorizationPolicy of the user, compiled.
#[derive(Debug)]
pub struct Policy {
    /// The object.
    pub object: ObjectName,
    /// What a match means.
    pub action: Action,
    /// What it guards.
    pub targets: Vec<Target>,
    /// Provider of a CUSTOM policy.
    pub provider: Arc<str>,
    /// Evaluated for the log only.
    pub dry_run: bool,
    rules: Vec<PolicyRule>,
}

/// What the match of a policy means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The request may pass.
    Allow,
    /// The request is refused.
    Deny,
    /// Log only.
    Audit,
    /// An external authorizer decides.
    Custom,
}

/// What a policy guards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everything behind the waypoint of this Gateway.
    Gateway(ObjectName),
    /// One service.
    Service(NamespacedHostname),
}

/// What a policy decides on.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInput<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// Names of the mesh's trust domain: its own and its aliases.
    pub trust_domains: &'a [TrustDomain],
    /// From where.
    pub source: IpAddr,
    /// What was addressed.
    pub destination: SocketAddr,
    /// The request; none for a connection that is not HTTP.
    pub request: Option<RequestView<'a>>,
    /// Whose token it carries; none of a request without token, and of one that no
    /// RequestAuthentication concerns.
    pub bearer: Option<&'a Bearer>,
}

impl Policy {
    /// Compiles a policy; it cannot fail: a rule that is not understood becomes stricter.
    pub fn compile(wire: &pb::Policy) -> Self {
        let known = pb::PolicyAction::try_from(wire.action);
        let mut rules: Vec<_> = wire.rules.iter().map(PolicyRule::compile).collect();
        let action = match known {
            Ok(pb::PolicyAction::Allow) => Action::Allow,
            Ok(pb::PolicyAction::Deny) => Action::Deny,
            Ok(pb::PolicyAction::Audit) => Action::Audit,
            Ok(pb::PolicyAction::Custom) => Action::Custom,
            Err(_) => {
                rules =
                    vec![PolicyRule::unreadable(format!("action {} is not known", wire.action))];
                Action::Deny
            }
        };
        if action == Action::Custom {
            // Authorizers are asked before tokens are looked at.
            rules = rules.into_iter().map(PolicyRule::before_tokens).collect();
        }
        Self {
            object: ObjectName::from_wire(wire.object.as_ref()),
            action,
            targets: wire.targets.iter().filter_map(Target::compile).collect(),
            provider: wire.provider.as_str().into(),
            dry_run: wire.dry_run,
            rules,
        }
    }

    /// The first rule that matches, by its position.
    pub fn matching_rule(&self, input: &PolicyInput<'_>) -> Option<usize> {
        let doubt = match self.action {
            Action::Allow => false,
            Action::Deny | Action::Custom | Action::Audit => true,
        };
        self.rules.iter().position(|rule| rule.evaluate(input).resolve(doubt))
    }

    /// What could not be understood, for the log.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(PolicyRule::why_unreadable)
    }
}

impl Target {
    pub(super) fn compile(wire: &pb::PolicyTarget) -> Option<Self> {
        Some(match wire.kind.as_ref()? {
            pb::policy_target::Kind::Gateway(gateway) => {
                Self::Gateway(ObjectName::gateway(gateway))
            }
            pb::policy_target::Kind::Service(service) => Self::Service(service_name(service)),
        })
    }
}

#[cfg(test)]
mod tests;
