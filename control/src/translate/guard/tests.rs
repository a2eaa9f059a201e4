use super::*;

fn guard(port: Option<u16>, who: &[&str]) -> Guard {
    let principals = who.iter().map(|w| (*w).to_owned()).collect();
    Guard { namespace: "shop".to_owned(), port, principals }
}

#[test]
fn a_guard_refuses_everybody_but_the_waypoints_on_its_port() {
    for (case, guard, ports) in [
        ("one port", guard(Some(8080), &["td/ns/shop/sa/a", "td/ns/shop/sa/b"]), vec![8080]),
        ("all ports", guard(None, &["td/ns/shop/sa/a", "td/ns/shop/sa/b"]), vec![]),
    ] {
        let resource = guard.resource();
        let policy = Authorization::decode(resource.body.as_slice()).expect("decodes");
        assert_eq!(policy.action(), Action::Deny, "{case}");
        assert_eq!(policy.scope(), Scope::WorkloadSelector, "{case}");
        let [rule] = policy.rules.as_slice() else { panic!("{case}: one rule") };
        let matches: Vec<&Match> = rule.clauses.iter().flat_map(|c| &c.matches).collect();
        let named: Vec<String> = matches[0]
            .not_principals
            .iter()
            .map(|p| match &p.match_type {
                Some(MatchType::Exact(text)) => text.clone(),
                other => panic!("{case}: {other:?} would let others in"),
            })
            .collect();
        assert_eq!(named, ["td/ns/shop/sa/a", "td/ns/shop/sa/b"], "{case}");
        let found: Vec<u32> = matches.iter().flat_map(|m| m.destination_ports.clone()).collect();
        assert_eq!(found, ports, "{case}");
        assert_eq!(rule.clauses.len(), 1 + ports.len(), "{case}: and-ed");
    }
}

#[test]
fn a_name_stands_for_one_guard_and_for_no_object() {
    let all = [
        guard(Some(80), &["a"]),
        guard(Some(81), &["a"]),
        guard(None, &["a"]),
        guard(Some(80), &["b"]),
        guard(Some(80), &["a", "b"]),
    ];
    let names: BTreeSet<String> = all.iter().map(Guard::full_name).collect();
    assert_eq!(names.len(), all.len());
    for name in names {
        let (namespace, name) = name.split_once('/').expect("a namespace");
        assert_eq!(namespace, "shop");
        assert!(name.starts_with(brand::GUARD_PREFIX) && name.contains('_'), "{name}");
        assert_eq!(name, all.iter().find(|g| g.name() == name).expect("one").name());
    }
}
