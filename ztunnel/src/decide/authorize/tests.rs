use std::sync::Arc;

use hbone::matching::Caller;
use hbone::wire::authorization::Action;

use super::{Call, Denied, authorize, rehearse};
use crate::decide::fixture::{id, snapshot_of};
use crate::state::{Place, Snapshot, State, StaticState};

fn state(policies: &str) -> Arc<Snapshot> {
    snapshot_of(&format!(
        "workloads: [{{uid: w, name: w, namespace: shop, workloadIps: [10.1.0.5], authorizationPolicies: [shop/picked, shop/unknown]}}]
policies:
{policies}"
    ))
}

fn call(caller: Caller) -> Call {
    Call::new(caller, "::ffff:10.1.0.2".parse().unwrap(), "10.1.0.5:8080".parse().unwrap())
}

fn web() -> Caller {
    Caller::authenticated(id("shop", "web"))
}

fn ask(policies: &str, caller: Caller) -> Result<Option<String>, Denied> {
    let state = state(policies);
    let permit = authorize(&state, state.workload("w").unwrap(), call(caller))?;
    Ok(permit.policy().map(ToString::to_string))
}

/// Whether one rule lets a caller through.
fn allows(rules: &str, caller: Caller) -> bool {
    ask(&format!("- {{name: p, namespace: x, rules: {rules}}}"), caller).is_ok()
}

#[test]
fn levels_combine_and_empty_ones_have_their_meaning() {
    const YES: &str = "{destinationPorts: [8080]}";
    const NO: &str = "{destinationPorts: [1]}";
    for (case, rules, want) in [
        ("no rules", "[]".to_owned(), false),
        ("a rule without clauses", "[[]]".into(), true),
        ("a clause without matches", "[[[]]]".into(), true),
        ("a match without conditions", "[[[{}]]]".into(), false),
        ("an empty match beside a good one", format!("[[[{{}}, {YES}]]]"), true),
        ("rules are or-ed", format!("[[[{NO}]], [[{YES}]]]"), true),
        ("no rule", format!("[[[{NO}]], [[{NO}]]]"), false),
        ("clauses are and-ed", format!("[[[{YES}], [{NO}]]]"), false),
        ("both clauses", format!("[[[{YES}], [{YES}]]]"), true),
        ("matches are or-ed", format!("[[[{NO}, {YES}]]]"), true),
        (
            "conditions are and-ed",
            "[[[{destinationPorts: [8080], namespaces: [{exact: no}]}]]]".into(),
            false,
        ),
    ] {
        assert_eq!(allows(&rules, web()), want, "{case}");
    }
}

#[test]
fn conditions_compare_as_the_table_says() {
    for (condition, identified, anonymous) in [
        ("principals: [{exact: cluster.local/ns/shop/sa/web}]", true, false),
        ("principals: [{exact: 'spiffe://cluster.local/ns/shop/sa/web'}]", false, false),
        ("principals: [{prefix: cluster.local/ns/shop/}]", true, false),
        ("principals: [{suffix: /sa/web}]", true, false),
        ("principals: [{exact: no}, {suffix: /sa/web}]", true, false),
        ("principals: [{presence: {}}]", true, false),
        ("notPrincipals: [{presence: {}}]", false, true),
        ("notPrincipals: [{suffix: /sa/web}]", false, true),
        ("notPrincipals: [{suffix: /sa/other}]", true, true),
        ("namespaces: [{exact: shop}]", true, false),
        ("namespaces: [{presence: {}}]", true, false),
        ("namespaces: [{prefix: ''}]", true, true),
        ("notNamespaces: [{exact: shop}]", false, true),
        ("serviceAccounts: [{namespace: shop, serviceAccount: web}]", true, false),
        ("serviceAccounts: [{namespace: bank, serviceAccount: web}]", false, false),
        ("notServiceAccounts: [{namespace: shop, serviceAccount: web}]", false, true),
        ("sourceIps: [10.1.0.0/24]", true, true),
        ("sourceIps: ['::ffff:10.1.0.0/120']", true, true),
        ("sourceIps: [10.2.0.0/24, 10.1.0.2/32]", true, true),
        ("sourceIps: ['::/0']", false, false),
        ("notSourceIps: [10.1.0.0/24]", false, false),
        ("notSourceIps: [10.2.0.0/24]", true, true),
        ("destinationIps: [10.1.0.5/32]", true, true),
        ("notDestinationIps: [10.1.0.5/32]", false, false),
        ("destinationPorts: [80, 8080]", true, true),
        ("destinationPorts: [80]", false, false),
        ("notDestinationPorts: [8080]", false, false),
        ("destinationPorts: [8080], notDestinationPorts: [8080]", false, false),
    ] {
        let rules = format!("[[[{{{condition}}}]]]");
        assert_eq!(allows(&rules, web()), identified, "{condition}, identified");
        assert_eq!(allows(&rules, Caller::anonymous()), anonymous, "{condition}, anonymous");
    }
}

#[test]
fn deny_wins_and_allow_narrows() {
    const ALL: &str = "rules: [[]]";
    const NONE: &str = "rules: []";
    let global = |name: &str, rest: &str| format!("- {{name: {name}, namespace: root, {rest}}}\n");
    let own = |scope: &str, namespace: &str, name: &str, rest: &str| {
        format!("- {{name: {name}, namespace: {namespace}, scope: {scope}, {rest}}}\n")
    };
    let deny = |rules: &str| format!("action: Deny, {rules}");
    let denied = |name: &str| Err(Denied::Policy(name.into()));
    for (case, policies, want) in [
        ("no policy", " []".to_owned(), Ok(None)),
        ("an allow that matches", global("a", ALL), Ok(Some("root/a"))),
        ("an allow that does not", global("a", NONE), Err(Denied::NoAllowMatched)),
        ("one of two", global("a", NONE) + &global("b", ALL), Ok(Some("root/b"))),
        ("deny before allow", global("a", ALL) + &global("d", &deny(ALL)), denied("root/d")),
        ("a deny that does not match", global("d", &deny(NONE)), Ok(None)),
        ("own namespace", own("Namespace", "shop", "d", &deny(ALL)), denied("shop/d")),
        ("another namespace", own("Namespace", "bank", "d", &deny(ALL)), Ok(None)),
        ("listed", own("WorkloadSelector", "shop", "picked", &deny(ALL)), denied("shop/picked")),
        ("not listed", own("WorkloadSelector", "shop", "other", &deny(ALL)), Ok(None)),
        ("deny in dry run", global("d", &(deny(ALL) + ", dryRun: true")), Ok(None)),
        ("allow in dry run", global("a", "rules: [], dryRun: true"), Ok(None)),
    ] {
        let got = ask(&policies, web());
        assert_eq!(got, want.map(|policy| policy.map(String::from)), "{case}");
    }
}

#[test]
fn what_cannot_be_read_is_stricter() {
    const LOST: &str = "[[[{principals: [{}]}]]]";
    assert!(!allows(LOST, web()), "an ALLOW matches nothing");
    let deny = format!("- {{name: d, namespace: x, action: Deny, rules: {LOST}}}");
    assert_eq!(ask(&deny, Caller::anonymous()), Err(Denied::Policy("x/d".into())));
    let and = "[[[{principals: [{}], destinationPorts: [1]}]]]";
    let deny = format!("- {{name: d, namespace: x, action: Deny, rules: {and}}}");
    assert_eq!(ask(&deny, web()), Ok(None), "conditions that can be read still count");
}

#[test]
fn nothing_passes_before_policies_are_known() {
    let place = Place { node: "n".into(), network: "".into(), cluster: "c".into() };
    let state = State::new(place);
    let content = "workloads: [{uid: w, namespace: shop}]";
    state.add_static(&StaticState::parse(content).unwrap()).unwrap();
    let ask = || {
        let snapshot = state.snapshot();
        let workload = Arc::clone(snapshot.workload("w").unwrap());
        authorize(&snapshot, &workload, call(web())).map(drop)
    };
    assert_eq!(ask(), Err(Denied::NotReady));
    state.apply_authorizations(&[], &[]);
    assert_eq!(ask(), Ok(()));
}

#[test]
fn dry_runs_are_told() {
    let state = state(
        "- {name: a, namespace: root, dryRun: true, rules: [[]]}
- {name: d, namespace: root, action: Deny, dryRun: true, rules: [[]]}
- {name: n, namespace: root, action: Deny, dryRun: true, rules: []}",
    );
    let told = rehearse(&state, state.workload("w").unwrap(), &call(web()));
    let told: Vec<_> = told.iter().map(|r| (&*r.policy, r.action)).collect();
    assert_eq!(told, [("root/a", Action::Allow), ("root/d", Action::Deny)]);
}

#[test]
fn a_permit_ends_with_the_policy_that_forbids_it() {
    let before = state(" []");
    let permit = authorize(&before, before.workload("w").unwrap(), call(web())).unwrap();
    assert_eq!(permit.still_holds(&before), Ok(()));
    let after = state("- {name: d, namespace: shop, scope: Namespace, action: Deny, rules: [[]]}");
    assert_eq!(permit.still_holds(&after), Err(Denied::Policy("shop/d".into())));
    let gone = snapshot_of(
        "policies: [{name: d, namespace: shop, scope: Namespace, action: Deny, rules: [[]]}]",
    );
    assert_eq!(permit.still_holds(&gone), Err(Denied::Policy("shop/d".into())));
}
