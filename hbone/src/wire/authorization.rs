//! Layer 4 policies as the proxies evaluate them (docs/wire.md, "Authorization").

use std::sync::Arc;

use ipnet::IpNet;
use prost::Message;
use serde::{Deserialize, Serialize};

use super::error::WireError;
use super::intern::Interner;
use super::pb::istio::security as pb;
use crate::matching::{ServiceAccountMatch, StringMatch};

pub use local::LocalAuthorization;

mod convert;
mod local;

/// Type URL of [`Authorization`] resources.
pub const AUTHORIZATION_TYPE: &str = "type.googleapis.com/istio.security.Authorization";

/// A policy. Its rules are or-ed; without rules it never matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `namespace/name`: the key, and what logs and refusals say.
    pub key: Arc<str>,
    /// Object name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Which workloads it applies to.
    pub scope: Scope,
    /// What a match does.
    pub action: Action,
    /// Its rules.
    pub rules: Box<[Rule]>,
    /// Evaluated for the log only.
    pub dry_run: bool,
    /// Values that could not be read; each made the policy stricter.
    pub unreadable: u32,
}

/// Clauses, and-ed; none matches everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The clauses.
    pub clauses: Box<[Clause]>,
}

/// Matches, or-ed; none is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The matches.
    pub matches: Box<[Match]>,
}

/// Conditions, and-ed. A list that is empty is no condition; with no condition at all it
/// never matches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Match {
    /// What could not be read makes this never match, whatever the conditions say.
    pub never: bool,
    /// What could not be read makes this match even without a condition.
    pub always: bool,
    /// Namespace of the caller.
    pub namespaces: List<StringMatch>,
    /// Identity of the caller, without scheme.
    pub principals: List<StringMatch>,
    /// Address of the caller.
    pub source_ips: List<IpNet>,
    /// Address that is called.
    pub destination_ips: List<IpNet>,
    /// Port that is called.
    pub destination_ports: List<u16>,
    /// Service account of the caller.
    pub service_accounts: List<ServiceAccountMatch>,
}

/// A condition and its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// One must match; empty is no condition.
    pub any: Box<[T]>,
    /// None may match; empty is no condition.
    pub none: Box<[T]>,
}

/// Which workloads a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Scope {
    /// All.
    #[default]
    Global,
    /// All of its namespace.
    Namespace,
    /// Those that list it.
    WorkloadSelector,
}

/// What a match does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Action {
    /// Lets the connection through.
    #[default]
    Allow,
    /// Refuses it.
    Deny,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { any: Box::default(), none: Box::default() }
    }
}

impl<T> List<T> {
    /// Whether it sets no condition.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    /// Evaluates the condition and its opposite with one comparison.
    pub fn holds(&self, matches: impl Fn(&T) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(&matches)) && !self.none.iter().any(matches)
    }
}

impl Authorization {
    /// Decodes and checks the bytes of an Authorization resource.
    ///
    /// # Errors
    /// Bytes that are no such message, an unknown scope or action.
    pub fn decode(bytes: &[u8], interner: &mut Interner) -> Result<Self, WireError> {
        let message = pb::Authorization::decode(bytes).map_err(|error| WireError::Undecodable {
            object: "authorization".into(),
            cause: error.to_string(),
        })?;
        Self::from_wire(message, interner)
    }
}

impl TryFrom<pb::Authorization> for Authorization {
    type Error = WireError;

    fn try_from(message: pb::Authorization) -> Result<Self, WireError> {
        Self::from_wire(message, &mut Interner::default())
    }
}

#[cfg(test)]
mod tests;
