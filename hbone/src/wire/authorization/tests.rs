use prost::Message;

use super::{Action, Authorization, LocalAuthorization, Match, Scope, pb};
use crate::wire::error::WireError;
use crate::wire::intern::Interner;

fn policy(action: pb::Action, one: pb::Match) -> pb::Authorization {
    pb::Authorization {
        name: "p".into(),
        namespace: "shop".into(),
        action: action as i32,
        rules: vec![pb::Rule { clauses: vec![pb::Clause { matches: vec![one] }] }],
        ..pb::Authorization::default()
    }
}

fn read(action: pb::Action, one: pb::Match) -> Match {
    let policy = Authorization::try_from(policy(action, one)).unwrap();
    policy.rules[0].clauses[0].matches[0].clone()
}

fn block(address: &[u8], length: u32) -> pb::Address {
    pb::Address { address: address.to_vec(), length }
}

fn exact(text: &str) -> pb::StringMatch {
    pb::StringMatch { match_type: Some(pb::string_match::MatchType::Exact(text.into())) }
}

const NO_TEXT: pb::StringMatch = pb::StringMatch { match_type: None };

#[test]
fn an_unknown_scope_or_action_refuses_the_policy() {
    for (scope, action, want) in [
        (3, 0, "authorization shop/p: scope is 3"),
        (-1, 0, "authorization shop/p: scope is -1"),
        (0, 2, "authorization shop/p: action is 2"),
    ] {
        let wire =
            pb::Authorization { scope, action, ..policy(pb::Action::Allow, pb::Match::default()) };
        let error = Authorization::try_from(wire).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
    let broken = Authorization::decode(&[0x0a, 9], &mut Interner::default());
    assert!(matches!(broken, Err(WireError::Undecodable { .. })), "{broken:?}");
}

#[test]
fn a_policy_is_read_as_written() {
    let wire = pb::Authorization {
        scope: 2,
        dry_run: true,
        ..policy(pb::Action::Deny, pb::Match::default())
    };
    let read = Authorization::decode(&wire.encode_to_vec(), &mut Interner::default()).unwrap();
    assert_eq!(&*read.key, "shop/p");
    assert_eq!(
        (read.scope, read.action, read.dry_run),
        (Scope::WorkloadSelector, Action::Deny, true)
    );
    assert_eq!(read.unreadable, 0);
    assert_eq!(read.rules[0].clauses[0].matches[0], Match::default());
}

#[test]
fn what_cannot_be_read_makes_an_allow_match_less() {
    let good = || block(&[10, 0, 0, 0], 8);
    let bad = || block(&[10, 0], 8);
    for (case, any, none, want_any, never) in [
        ("all good", vec![good()], vec![good()], 1, false),
        ("one of two lost", vec![good(), bad()], vec![], 1, false),
        ("the only one lost", vec![bad()], vec![], 0, true),
        ("prefix too long", vec![block(&[10, 0, 0, 0], 33)], vec![], 0, true),
        ("an exception lost", vec![good()], vec![good(), bad()], 1, true),
    ] {
        let wire = pb::Match { source_ips: any, not_source_ips: none, ..pb::Match::default() };
        let m = read(pb::Action::Allow, wire);
        assert_eq!((m.source_ips.any.len(), m.never, m.always), (want_any, never, false), "{case}");
    }
}

#[test]
fn what_cannot_be_read_makes_a_deny_match_more() {
    for (case, any, none, want_any, always) in [
        ("all good", vec![exact("a")], vec![exact("b")], 1, false),
        ("one of two lost", vec![exact("a"), NO_TEXT], vec![], 0, true),
        ("the only one lost", vec![NO_TEXT], vec![], 0, true),
        ("an exception lost", vec![exact("a")], vec![NO_TEXT], 1, true),
    ] {
        let wire = pb::Match { principals: any, not_principals: none, ..pb::Match::default() };
        let m = read(pb::Action::Deny, wire);
        assert_eq!(
            (m.principals.any.len(), m.never, m.always),
            (want_any, false, always),
            "{case}"
        );
    }
}

#[test]
fn unreadable_values_are_counted() {
    let wire = pb::Match {
        principals: vec![NO_TEXT; 3],
        source_ips: vec![block(&[], 0)],
        ..pb::Match::default()
    };
    let policy = Authorization::try_from(policy(pb::Action::Allow, wire)).unwrap();
    assert_eq!(policy.unreadable, 4);
}

#[test]
fn ports_are_cut_to_sixteen_bits() {
    let wire = pb::Match { destination_ports: vec![65_616], ..pb::Match::default() };
    assert_eq!(*read(pb::Action::Allow, wire).destination_ports.any, [80]);
}

#[test]
fn the_local_form_loses_nothing() {
    let presence = pb::StringMatch { match_type: Some(pb::string_match::MatchType::Presence(())) };
    let account = pb::ServiceAccountMatch { namespace: "a".into(), service_account: "b".into() };
    let wire = pb::Match {
        principals: vec![exact("td/ns/a/sa/b"), presence],
        not_namespaces: vec![exact("x")],
        source_ips: vec![block(&[10, 0, 0, 0], 8)],
        not_destination_ports: vec![80],
        service_accounts: vec![account],
        ..pb::Match::default()
    };
    let policy = Authorization::try_from(policy(pb::Action::Deny, wire)).unwrap();
    let back = pb::Authorization::from(LocalAuthorization::from(&policy));
    assert_eq!(Authorization::try_from(back).unwrap(), policy);
}
