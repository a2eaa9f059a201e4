//! Fields of an edge by which edges are summed.

use super::{QueryError, wrong};
use crate::pb::{EdgeKey, Party};

/// A field of [`EdgeKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Reporter,
    Source,
    Destination,
    Service,
    Port,
    Protocol,
    Security,
    Policy,
    Failure,
    Waypoint,
    Route,
    Rule,
    Backend,
}

const NAMES: [(&str, Field); 13] = [
    ("reporter", Field::Reporter),
    ("source", Field::Source),
    ("destination", Field::Destination),
    ("service", Field::Service),
    ("port", Field::Port),
    ("protocol", Field::Protocol),
    ("security", Field::Security),
    ("policy", Field::Policy),
    ("failure", Field::Failure),
    ("waypoint", Field::Waypoint),
    ("route", Field::Route),
    ("rule", Field::Rule),
    ("backend", Field::Backend),
];

/// The fields of those names.
///
/// # Errors
/// If there is no such field.
pub(super) fn parse(names: &[String]) -> Result<Vec<Field>, QueryError> {
    let field = |name: &String| {
        NAMES.iter().find(|(known, _)| known == name).map(|(_, field)| *field).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            wrong("group", format!("{name:?} is none of {}", known.join(", ")))
        })
    };
    names.iter().map(field).collect()
}

/// The key with those fields only; all of them if there are none.
pub(super) fn reduce(fields: &[Field], key: &EdgeKey) -> EdgeKey {
    if fields.is_empty() {
        return key.clone();
    }
    let mut kept = EdgeKey::default();
    let party = |party: &Option<Party>| party.clone();
    for field in fields {
        match field {
            Field::Reporter => kept.reporter.clone_from(&key.reporter),
            Field::Source => kept.source = party(&key.source),
            Field::Destination => kept.destination = party(&key.destination),
            Field::Service => kept.service.clone_from(&key.service),
            Field::Port => kept.port = key.port,
            Field::Protocol => kept.protocol.clone_from(&key.protocol),
            Field::Security => kept.security.clone_from(&key.security),
            Field::Policy => kept.policy.clone_from(&key.policy),
            Field::Failure => kept.failure.clone_from(&key.failure),
            Field::Waypoint => kept.waypoint.clone_from(&key.waypoint),
            Field::Route => kept.route.clone_from(&key.route),
            Field::Rule => kept.rule.clone_from(&key.rule),
            Field::Backend => kept.backend.clone_from(&key.backend),
        }
    }
    kept
}
