//! The kinds that say who may call what.
//!
//! What cannot be understood makes a policy stricter, never laxer: each rule is read by
//! itself, and one that cannot be read is kept as [`Rule::Unreadable`].

use serde_json::Value;

use super::{Note, ReadError, decode_quietly, raw_meta};
use crate::api::security::{AuthorizationPolicySpec, PeerAuthenticationSpec, RuleSpec};
use crate::model::object::{
    Action, AuthorizationPolicy, Kind, MtlsMode, Object, PeerAuthentication, ReadRule, Rule,
    boolean,
};

type Result<T> = std::result::Result<T, ReadError>;

pub(super) fn authorization_policy(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::AuthorizationPolicy, notes)?;
    let empty = Value::Object(serde_json::Map::new());
    let raw = value.get("spec").unwrap_or(&empty);
    let (spec, unknown) = decode_quietly::<AuthorizationPolicySpec>(raw, "spec")?;
    let action = action(spec.action.as_deref())?;
    let mut rules = rules(&spec.rules, action, notes);
    // A field of the spec that is not understood may have narrowed the policy.
    if !unknown.is_empty() {
        for field in unknown {
            notes.push(Note::new(field, stricter("is no field of this kind", action)));
        }
        rules = if rules.is_empty() { rules } else { vec![Rule::Unreadable] };
    }
    let dry_run = match meta.annotation("istio.io/dry-run").map(boolean) {
        Some(Some(dry_run)) => dry_run,
        None => false,
        Some(None) => {
            let field = "metadata.annotations.istio.io/dry-run";
            notes.push(Note::new(field, "is no boolean; the policy is enforced"));
            false
        }
    };
    let targets = spec.target_ref.into_iter().chain(spec.target_refs).collect();
    Ok(Object::AuthorizationPolicy(Box::new(AuthorizationPolicy {
        meta,
        selector: spec.selector.map(|s| s.match_labels).filter(|m| !m.is_empty()),
        targets,
        action,
        provider: spec.provider.unwrap_or_default().name,
        rules,
        dry_run,
    })))
}

fn action(text: Option<&str>) -> Result<Action> {
    Ok(match text {
        None | Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => Action::Custom,
        Some(found) => {
            let message = format!("is {found:?}; write ALLOW, DENY, AUDIT or CUSTOM");
            return Err(ReadError::field("spec.action", message));
        }
    })
}

fn rules(raw: &[Value], action: Action, notes: &mut Vec<Note>) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(raw.len());
    for (i, value) in raw.iter().enumerate() {
        rules.push(match rule(value, i) {
            Ok(rule) => Rule::Read(Box::new(rule)),
            Err(error) => {
                let message = stricter(&error.to_string(), action);
                notes.push(Note::new(error.path(), message));
                Rule::Unreadable
            }
        });
    }
    rules
}

fn rule(value: &Value, index: usize) -> Result<ReadRule> {
    let (raw, _) = decode_quietly::<RuleSpec>(value, &format!("spec.rules[{index}]"))?;
    // An empty list was surely meant to say something: Kubernetes refuses it too.
    for (name, empty) in [
        ("from", raw.from.as_ref().is_some_and(Vec::is_empty)),
        ("to", raw.to.as_ref().is_some_and(Vec::is_empty)),
        ("when", raw.when.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if empty {
            let field = format!("spec.rules[{index}].{name}");
            return Err(ReadError::field(field, EMPTY));
        }
    }
    for (list, part) in [("from", "source"), ("to", "operation")] {
        says_something(value, index, list, part)?;
    }
    Ok(ReadRule {
        from: raw.from.unwrap_or_default().into_iter().map(|f| f.source).collect(),
        to: raw.to.unwrap_or_default().into_iter().map(|t| t.operation).collect(),
        when: raw.when.unwrap_or_default(),
    })
}

const EMPTY: &str = "is an empty list; name something or leave it out";

/// A source or an operation without any value would match everything, and is most likely a
/// template whose list came out empty.
fn says_something(rule: &Value, index: usize, list: &str, part: &str) -> Result<()> {
    let entries = rule.get(list).and_then(Value::as_array);
    for (at, entry) in entries.into_iter().flatten().enumerate() {
        let field = format!("spec.rules[{index}].{list}[{at}].{part}");
        let fields = entry.get(part).and_then(Value::as_object);
        let fields = fields.filter(|fields| !fields.is_empty()).ok_or_else(|| {
            ReadError::field(&field, format!("is empty; name something or leave out {list}"))
        })?;
        let mut fields = fields.iter();
        if let Some((name, _)) = fields.find(|(_, v)| v.as_array().is_some_and(Vec::is_empty)) {
            return Err(ReadError::field(format!("{field}.{name}"), EMPTY));
        }
    }
    Ok(())
}

fn stricter(reason: &str, action: Action) -> String {
    let effect = match action {
        Action::Allow => "allows nothing",
        Action::Deny | Action::Custom => "matches its whole target",
        Action::Audit => "has no effect",
    };
    format!("{reason}; until it is right, what it belongs to {effect}")
}

pub(super) fn peer_authentication(value: &Value, notes: &mut Vec<Note>) -> Result<Object> {
    let meta = raw_meta(value, Kind::PeerAuthentication, notes)?;
    let empty = Value::Object(serde_json::Map::new());
    let raw = value.get("spec").unwrap_or(&empty);
    let (spec, unknown) = decode_quietly::<PeerAuthenticationSpec>(raw, "spec")?;
    if let Some(field) = unknown.into_iter().next() {
        let message = "is no field of this kind";
        return Err(ReadError::field(field, message));
    }
    let mut ports = std::collections::BTreeMap::new();
    for (port, mtls) in spec.port_level_mtls {
        let Some(number) = port.parse::<u16>().ok().filter(|p| *p > 0) else {
            let field = "spec.portLevelMtls";
            return Err(ReadError::field(field, format!("has key {port:?}; write 1 to 65535")));
        };
        ports.insert(number, mtls.mode);
    }
    ports.retain(|_, mode| *mode != MtlsMode::Unset);
    Ok(Object::PeerAuthentication(PeerAuthentication {
        meta,
        selector: spec.selector.map(|s| s.match_labels).filter(|m| !m.is_empty()),
        any_pod: false,
        mode: spec.mtls.unwrap_or_default().mode,
        ports,
    }))
}
