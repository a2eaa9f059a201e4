use std::collections::BTreeMap;

use super::ruleset::{MAX_INTERFACES, Options, Redirection, transaction};
use crate::pod::Pod;

fn full(options: Options) -> String {
    transaction(&Redirection::Full(options))
}

#[test]
fn every_redirect_takes_only_opening_packets() {
    let options = Options { bypass_inbound: false, reroute_interfaces: vec!["vm0".into()] };
    let text = full(options);
    let redirects: Vec<_> = text.lines().filter(|line| line.contains("redirect")).collect();
    assert_eq!(redirects.len(), 5, "one per interface, two inbound, two outbound");
    for rule in redirects {
        assert!(rule.contains("tcp flags & (syn | ack) == syn"), "{rule}");
    }
}

#[test]
fn what_each_state_has() {
    let ingress = Options { bypass_inbound: true, ..Options::default() };
    for (case, text, parts, absent) in [
        (
            "full",
            full(Options::default()),
            &[":15001", ":15006", "0x111", "169.254.7.127"][..],
            &["vm0"][..],
        ),
        ("ingress", full(ingress), &[":15001", "0x111"], &[":15006", "ip saddr"]),
        ("draining", transaction(&Redirection::Draining), &["type nat", "0x111"], &["redirect"]),
        ("none", transaction(&Redirection::None), &["delete table"], &["chain"]),
    ] {
        for part in parts {
            assert!(text.contains(part), "{case} lacks {part}:\n{text}");
        }
        for part in absent {
            assert!(!text.contains(part), "{case} has {part}:\n{text}");
        }
    }
}

#[test]
fn an_annotation_cannot_write_rules() {
    let annotation = "vm0, tap-1 ,\"; flush ruleset,a_name_that_is_too_long,x y";
    let (options, refused) = Options::of(&pod(annotation));
    assert_eq!(options.reroute_interfaces, ["vm0", "tap-1"]);
    assert_eq!(refused, ["\"; flush ruleset", "a_name_that_is_too_long", "x y"]);
}

fn pod(annotation: &str) -> Pod {
    Pod {
        uid: "u1".into(),
        namespace: "shop".into(),
        name: "vm".into(),
        service_account: "vm".into(),
        ips: Vec::new(),
        labelled: true,
        terminated: false,
        host_network: false,
        annotations: BTreeMap::from([(
            "istio.io/reroute-virtual-interfaces".to_owned(),
            annotation.to_owned(),
        )]),
        waypoint: None,
        sandbox: false,
    }
}

#[test]
fn interfaces_are_taken_up_to_a_limit() {
    let names: Vec<String> = (0..=MAX_INTERFACES).map(|n| format!("vm{n}")).collect();
    let (options, _) = Options::of(&pod(&names.join(",")));
    assert_eq!(options.reroute_interfaces, names[..MAX_INTERFACES]);
}
