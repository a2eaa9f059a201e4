//! One rule: from, to and when, all of which must hold.

use hbone::wire::pb::ambit::waypoint::v1 as pb;

use super::condition::ConditionMatch;
use super::operation::OperationMatch;
use super::source::SourceMatch;
use super::{PolicyInput, Truth};

#[derive(Debug)]
pub(super) enum PolicyRule {
    Readable {
        /// Or-ed; empty is everyone.
        from: Vec<SourceMatch>,
        /// Or-ed; empty is everything.
        to: Vec<OperationMatch>,
        /// And-ed.
        when: Vec<ConditionMatch>,
    },
    /// Why the rule is not understood.
    Unreadable(String),
}

impl PolicyRule {
    pub(super) fn unreadable(why: String) -> Self {
        Self::Unreadable(why)
    }

    pub(super) fn compile(wire: &pb::PolicyRule) -> Self {
        if !wire.unreadable.is_empty() {
            return Self::Unreadable(wire.unreadable.clone());
        }
        Self::read(wire).unwrap_or_else(Self::Unreadable)
    }

    fn read(wire: &pb::PolicyRule) -> Result<Self, String> {
        Ok(Self::Readable {
            from: wire.from.iter().map(SourceMatch::read).collect::<Result<_, _>>()?,
            to: wire.to.iter().map(OperationMatch::read).collect::<Result<_, _>>()?,
            when: wire.when.iter().map(ConditionMatch::read).collect::<Result<_, _>>()?,
        })
    }

    /// The rule where tokens are not known yet: one about them is not understood.
    pub(super) fn before_tokens(self) -> Self {
        let of_tokens = match &self {
            Self::Readable { from, when, .. } => {
                from.iter().any(SourceMatch::names_token)
                    || when.iter().any(ConditionMatch::names_token)
            }
            Self::Unreadable(_) => false,
        };
        if of_tokens {
            return Self::unreadable("tokens are not known before authorizers decide".to_owned());
        }
        self
    }

    pub(super) fn evaluate(&self, input: &PolicyInput<'_>) -> Truth {
        let Self::Readable { from, to, when } = self else { return Truth::Unknown };
        let from_holds = || match from.as_slice() {
            [] => Truth::Yes,
            sources => Truth::any(sources.iter().map(|source| source.evaluate(input))),
        };
        let to_holds = || match to.as_slice() {
            [] => Truth::Yes,
            operations => Truth::any(operations.iter().map(|operation| operation.evaluate(input))),
        };
        let when_holds = || Truth::all(when.iter().map(|condition| condition.evaluate(input)));
        let parts: [&dyn Fn() -> Truth; 3] = [&from_holds, &to_holds, &when_holds];
        Truth::all(parts.iter().map(|part| part()))
    }

    pub(super) fn why_unreadable(&self) -> Option<&str> {
        match self {
            Self::Readable { .. } => None,
            Self::Unreadable(why) => Some(why),
        }
    }
}
