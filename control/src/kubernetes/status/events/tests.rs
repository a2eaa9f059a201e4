use serde_json::json;

use super::*;
use crate::model::object::Kind;

#[test]
fn what_is_wrong_is_told_and_what_only_waits_is_not() {
    let status = json!({
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "fine"},
            {"type": "Programmed", "status": "False", "reason": "Pending", "message": "0 of 2"},
        ],
        "parents": [{"conditions": [
            {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "m"},
        ]}],
    });
    let found: Vec<(String, String)> = unmet(&status).into_iter().collect();
    assert_eq!(found, [("BackendNotFound".to_owned(), "m".to_owned())]);
}

#[test]
fn the_same_word_on_the_same_object_has_the_same_name() {
    let name = ObjectRef::new(Kind::HTTPRoute, "shop", "store");
    let seen = |uid: &str| Seen {
        value: Value::Null,
        uid: uid.to_owned(),
        generation: None,
        version: String::new(),
        applied_labels: Vec::new(),
    };
    let event =
        |uid: &str, note: &str| event(&name, &seen(uid), "Reason", note, "me").expect("one");
    let named = |event: &Event| event.metadata.name.clone().expect("a name");
    let first = event("u1", "a");
    assert_eq!(named(&first), named(&event("u1", "a")));
    assert_ne!(named(&first), named(&event("u1", "b")));
    assert_ne!(named(&first), named(&event("u2", "a")), "another object of the name");
    assert_eq!(first.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(first.regarding.expect("an object").kind.as_deref(), Some("HTTPRoute"));
    assert_eq!(event("u1", &"ä".repeat(MAX_NOTE)).note.map(|n| n.len()), Some(MAX_NOTE));
}

#[test]
fn an_object_is_found_by_what_problems_call_it() {
    for name in [
        ObjectRef::new(Kind::HTTPRoute, "shop", "store"),
        ObjectRef::new(Kind::Namespace, "", "shop"),
        ObjectRef::new(Kind::AuthorizationPolicy, "shop", "a.b"),
    ] {
        assert_eq!(reference(&name.to_string()), Some(name));
    }
    assert_eq!(reference("Nonsense a/b"), None);
    assert_eq!(reference(""), None);
}
