use std::sync::Arc;

use super::*;

fn seen(labels: &Value, applied: bool) -> Seen {
    let applied = applied.then(|| (USE.to_owned(), BINDER.to_owned()));
    Seen {
        value: json!({"metadata": {"labels": labels}}),
        uid: String::new(),
        generation: None,
        version: String::new(),
        applied_labels: applied.into_iter().collect(),
    }
}

fn gateways(names: &[(&str, bool)]) -> Vec<(ObjectRef, Arc<Seen>)> {
    let labels = |made| if made { json!({brand::MADE_FOR_NAMESPACE: "true"}) } else { json!({}) };
    let one = |(name, made): &(&str, bool)| {
        let name = ObjectRef::new(Kind::Gateway, "shop", name);
        (name, Arc::new(seen(&labels(*made), false)))
    };
    names.iter().map(one).collect()
}

#[test]
fn a_label_makes_binds_and_removes() {
    let wish = json!({brand::NAMESPACE_WAYPOINT: "wp"});
    let bound = json!({brand::NAMESPACE_WAYPOINT: "wp", USE: "wp"});
    let left = json!({USE: "wp"});
    let other = json!({brand::NAMESPACE_WAYPOINT: "new", USE: "wp"});
    let name = |name: &str| Some(name.to_owned());
    for (case, labels, by_us, there, want) in [
        ("no label", json!({}), false, &[("mine", false)][..], Plan::default()),
        (
            "a new one",
            wish.clone(),
            false,
            &[],
            Plan { make: name("wp"), bind: name("wp"), ..Plan::default() },
        ),
        ("all done", bound.clone(), true, &[("wp", true)], Plan::default()),
        (
            "a Gateway of the user's own is used",
            wish,
            false,
            &[("wp", false)],
            Plan { bind: name("wp"), ..Plan::default() },
        ),
        (
            "the Gateway was removed by hand",
            bound,
            true,
            &[],
            Plan { make: name("wp"), ..Plan::default() },
        ),
        (
            "the label is gone",
            left.clone(),
            true,
            &[("wp", true), ("mine", false)],
            Plan { unbind: true, remove: vec!["wp".to_owned()], ..Plan::default() },
        ),
        (
            "two labels that differ",
            json!({brand::NAMESPACE_WAYPOINT: "wp", USE: "mine"}),
            false,
            &[],
            Plan::default(),
        ),
        ("bound by the user", left, false, &[("wp", false)], Plan::default()),
        (
            "another name",
            other,
            true,
            &[("wp", true)],
            Plan {
                make: name("new"),
                bind: name("new"),
                remove: vec!["wp".to_owned()],
                ..Plan::default()
            },
        ),
    ] {
        assert_eq!(plan(&seen(&labels, by_us), &gateways(there)), want, "{case}");
    }
}

#[test]
fn two_labels_that_differ_are_a_conflict_unless_one_is_ours() {
    let both = json!({brand::NAMESPACE_WAYPOINT: "wp", USE: "mine"});
    let said = conflict(&seen(&both, false)).expect("a conflict");
    assert!(said.contains("\"mine\"") && said.contains("remove one of them"), "{said}");
    assert_eq!(conflict(&seen(&both, true)), None);
    assert_eq!(conflict(&seen(&json!({USE: "mine"}), false)), None);
}
