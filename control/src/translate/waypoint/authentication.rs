//! RequestAuthentication, for the waypoints of its targets.

use std::collections::BTreeSet;

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use pb::curve_key::Curve;
use pb::token_key::Kind as KeyKind;
use prost::Message;

use super::policy::{condition, target};
use crate::jwks::set::{Key as JwtKey, KeySet, Public};
use crate::jwks::url::KeySetUrl;
use crate::model::object::{JwtKeys, JwtRule, Key, Kind, ObjectRef, RequestAuthentication};
use crate::model::world::World;
use crate::status::Condition;
use crate::translate::{Derived, Family, Resource};

/// Derives a RequestAuthentication and its condition.
pub fn derive(world: &World, key: &Key) -> Derived {
    let mut derived = Derived::default();
    let Some(object) = world.authentication(key) else { return derived };
    let name = ObjectRef::new(Kind::RequestAuthentication, &key.namespace, &key.name);
    if object.targets.is_empty() {
        // What selects pods is for sidecars; silence would look like enforcement.
        let message = "names no spec.targetRefs, so nobody enforces it; name a Service that uses \
                       a waypoint, or its Gateway";
        let said = Condition::new("WaypointAccepted", false, "UnsupportedValue", message);
        derived.conditions.push((name, vec![said]));
        return derived;
    }
    let mut problems = Vec::new();
    let (targets, groups) = targets(world, object, &mut problems, &mut derived);
    if let Some(why) = &object.unreadable {
        problems.push(format!("{why}; every request to the targets is refused"));
    } else if object.rules.is_empty() {
        problems.push("spec.jwtRules is empty, so no token is looked at".to_owned());
    }
    let rules: Vec<_> = object.rules.iter().map(|one| rule(world, one, &mut problems)).collect();
    condition(name, !targets.is_empty(), &problems, &mut derived);
    if targets.is_empty() {
        return derived;
    }
    let message = pb::Authentication {
        object: Some(super::object("RequestAuthentication", key)),
        targets,
        rules,
        unreadable: object.unreadable.clone().unwrap_or_default(),
    };
    derived.resources.push(Resource {
        family: Family::WaypointAuthentication,
        name: format!("RequestAuthentication/{key}"),
        body: message.encode_to_vec(),
        aliases: Vec::new(),
        groups,
    });
    derived
}

/// The targets that are there, and the groups of their waypoints.
fn targets(
    world: &World,
    object: &RequestAuthentication,
    problems: &mut Vec<String>,
    derived: &mut Derived,
) -> (Vec<pb::PolicyTarget>, Vec<String>) {
    let (mut targets, mut groups) = (Vec::new(), BTreeSet::new());
    for (index, reference) in object.targets.iter().enumerate() {
        match target(world, &object.meta.key, reference, derived) {
            Ok((named, waypoints)) => {
                targets.extend(named);
                groups.extend(waypoints);
            }
            Err(problem) => problems.push(format!("spec.targetRefs[{index}] {problem}")),
        }
    }
    (targets, groups.into_iter().collect())
}

fn rule(world: &World, rule: &JwtRule, problems: &mut Vec<String>) -> pb::TokenRule {
    let (keys, refused) = match keys(world, rule, problems) {
        Ok(keys) => (keys.keys.iter().map(key).collect(), String::new()),
        Err(why) => {
            problems.push(format!("{why}; tokens of issuer {:?} are refused", rule.issuer));
            (Vec::new(), why)
        }
    };
    let header = |one: &crate::api::security::JwtHeader| pb::TokenHeader {
        name: one.name.clone(),
        prefix: one.prefix.clone(),
    };
    let claim = |one: &crate::api::security::ClaimToHeader| pb::ClaimHeader {
        header: one.header.clone(),
        claim: one.claim.clone(),
    };
    pb::TokenRule {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        keys,
        refused,
        from_headers: rule.from_headers.iter().map(header).collect(),
        from_params: rule.from_params.clone(),
        from_cookies: rule.from_cookies.clone(),
        forward: rule.forward,
        payload_header: rule.payload_header.clone(),
        claim_headers: rule.claim_headers.iter().map(claim).collect(),
        space_delimited_claims: rule.space_delimited_claims.clone(),
    }
}

/// The keys in force; what is wrong with newer ones goes to `problems`.
///
/// # Errors
/// Why there are none.
fn keys<'a>(
    world: &'a World,
    rule: &'a JwtRule,
    problems: &mut Vec<String>,
) -> Result<&'a KeySet, String> {
    match &rule.keys {
        JwtKeys::Inline(set) => Ok(set),
        JwtKeys::Refused(why) => Err(why.clone()),
        JwtKeys::Remote { url, .. } => fetched(world, url, problems),
    }
}

fn fetched<'a>(
    world: &'a World,
    url: &KeySetUrl,
    problems: &mut Vec<String>,
) -> Result<&'a KeySet, String> {
    let Some(found) = world.fetched(url) else { return Err(format!("{url} is not fetched yet")) };
    let said = found.trouble.as_ref().map(|trouble| format!("{url}: {trouble}"));
    match &found.keys {
        Some(keys) => {
            problems.extend(said.map(|said| format!("{said}; its last good keys stay in force")));
            Ok(keys)
        }
        None => Err(said.unwrap_or_else(|| format!("{url} is not fetched yet"))),
    }
}

fn key(key: &JwtKey) -> pb::TokenKey {
    let curve = |curve: Curve, point: &[u8]| {
        KeyKind::Curve(pb::CurveKey { curve: curve.into(), point: point.to_vec() })
    };
    let kind = match &key.public {
        Public::Rsa { modulus, exponent } => {
            KeyKind::Rsa(pb::RsaKey { modulus: modulus.clone(), exponent: exponent.clone() })
        }
        Public::P256(point) => curve(Curve::P256, point),
        Public::P384(point) => curve(Curve::P384, point),
        Public::Ed25519(point) => curve(Curve::Ed25519, point),
    };
    pb::TokenKey { id: key.id.clone(), algorithm: key.algorithm.clone(), kind: Some(kind) }
}

#[cfg(test)]
mod tests;
