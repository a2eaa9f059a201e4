use super::*;

fn texts(file: &str) -> Vec<(usize, String)> {
    split(file).into_iter().map(|d| (d.index, d.text.trim().to_owned())).collect()
}

#[test]
fn documents_keep_their_number() {
    for (case, file, want) in [
        ("one", "a: 1", vec![(1, "a: 1")]),
        ("leading separator", "---\na: 1\n", vec![(1, "a: 1")]),
        ("two", "a: 1\n---\nb: 2\n", vec![(1, "a: 1"), (2, "b: 2")]),
        ("comment on the separator", "a: 1\n--- # next\nb: 2\n", vec![(1, "a: 1"), (2, "b: 2")]),
        ("an empty one between", "a: 1\n---\n# nothing\n---\nb: 2", vec![(1, "a: 1"), (3, "b: 2")]),
        ("nothing", "", vec![]),
        ("comments alone", "# a\n---\n# b\n", vec![]),
        ("CRLF", "a: 1\r\n---\r\nb: 2\r\n", vec![(1, "a: 1"), (2, "b: 2")]),
        ("indented dashes are text", "a: |\n  ---\n  b\n", vec![(1, "a: |\n  ---\n  b")]),
    ] {
        let want: Vec<(usize, String)> = want.into_iter().map(|(i, t)| (i, t.to_owned())).collect();
        assert_eq!(texts(file), want, "{case}");
    }
}

#[test]
fn lists_become_their_items_in_order() {
    let list = serde_json::json!({"kind": "List", "items": [
        {"kind": "Pod", "n": 1},
        {"kind": "PodList", "items": [{"kind": "Pod", "n": 2}]},
        {"kind": "Pod", "n": 3},
    ]});
    let order: Vec<_> = flatten(list).iter().map(|v| v["n"].as_u64()).collect();
    assert_eq!(order, [Some(1), Some(2), Some(3)]);
}

#[test]
fn hostile_yaml_is_an_error_and_no_disaster() {
    let mut bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n".to_owned();
    for (from, to) in ('a'..'l').zip('b'..'m') {
        let nine = vec![format!("*{from}"); 9].join(",");
        bomb = format!("{bomb}{to}: &{to} [{nine}]\n");
    }
    let deep = "[".repeat(100_000);
    for (case, text) in [
        ("alias bomb", bomb.as_str()),
        ("depth", deep.as_str()),
        ("no YAML", "a: [1"),
        ("duplicate key", "a: 1\na: 2"),
        ("tab", "a:\n\t- b: c\n\t x"),
    ] {
        assert!(parse(text).is_err(), "{case}");
    }
}

#[test]
fn only_true_and_false_are_booleans() {
    let value = parse("{a: y, b: no, c: 'true', d: true}").expect("YAML");
    assert_eq!(value, serde_json::json!({"a": "y", "b": "no", "c": "true", "d": true}));
}
