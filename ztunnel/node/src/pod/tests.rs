use super::*;

#[test]
fn booleans_are_written_in_these_words_only() {
    for (text, want) in [
        ("1", Some(true)),
        ("t", Some(true)),
        ("T", Some(true)),
        ("true", Some(true)),
        ("TRUE", Some(true)),
        ("True", Some(true)),
        ("0", Some(false)),
        ("f", Some(false)),
        ("F", Some(false)),
        ("false", Some(false)),
        ("FALSE", Some(false)),
        ("False", Some(false)),
        ("tRue", None),
        ("yes", None),
        (" true", None),
        ("", None),
    ] {
        assert_eq!(boolean(text), want, "{text:?}");
    }
}

#[test]
fn a_waypoint_says_whether_the_node_makes_its_namespace() {
    for (spec, waypoint, sandbox) in [
        (None, None, false),
        (Some(("gate", false)), Some("gate"), false),
        (Some(("gate", true)), Some("gate"), true),
    ] {
        let spec = spec
            .map(|(gateway, sandbox)| pb::WaypointSpec { gateway: gateway.to_owned(), sandbox });
        let wire = pb::Pod {
            uid: "u1".into(),
            namespace: "shop".into(),
            name: "web".into(),
            waypoint: spec,
            ..pb::Pod::default()
        };
        let pod = Pod::try_from(wire).expect("a pod");
        assert_eq!((pod.waypoint.as_deref(), pod.sandbox), (waypoint, sandbox));
    }
}

#[test]
fn annotations_that_say_yes_count_and_others_do_not() {
    let wire = pb::Pod {
        uid: "u1".into(),
        namespace: "shop".into(),
        name: "web".into(),
        annotations: [("a", "True"), ("b", "false"), ("c", "perhaps")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..pb::Pod::default()
    };
    let pod = Pod::try_from(wire).expect("a pod");
    for (key, want) in [("a", true), ("b", false), ("c", false), ("d", false)] {
        assert_eq!(pod.annotated_true(key), want, "{key}");
    }
}
