use super::*;
use crate::model::object::{Action, Key, Kind};

fn files() -> Files {
    Files::new(Context { mesh_config: Key::new("istio-system", "istio"), has_status: false })
}

fn namespace(name: &str, label: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{l: {label}}}}}\n")
}

/// Names of what changed; `-` before what is gone.
fn names(changes: &Changes) -> Vec<String> {
    let name = |(name, object): &(ObjectRef, Option<Object>)| {
        let sign = if object.is_some() { "" } else { "-" };
        format!("{sign}{}", name.name)
    };
    changes.iter().map(name).collect()
}

#[test]
fn only_what_differs_is_a_change() {
    let mut files = files();
    let two = format!("{}---\n{}", namespace("a", "x"), namespace("b", "x"));
    assert_eq!(names(&files.set("f", &two)), ["a", "b"]);
    assert!(files.set("f", &two).is_empty());
    let changed = format!("{}---\n{}", namespace("b", "y"), namespace("c", "x"));
    assert_eq!(names(&files.set("f", &changed)), ["-a", "b", "c"]);
    assert_eq!(names(&files.remove("f")), ["-b", "-c"]);
    assert!(files.is_empty());
}

#[test]
fn of_two_equal_objects_the_first_by_file_counts() {
    let mut files = files();
    files.set("b", &namespace("n", "from-b"));
    assert!(files.problems().is_empty());
    assert_eq!(names(&files.set("c", &namespace("n", "from-c"))), Vec::<String>::new());
    let problem = files.problems().remove(0);
    assert_eq!((problem.file.as_str(), problem.object.as_str()), ("c", "Namespace n"));
    assert!(problem.message.contains("is in b too"), "{problem:?}");
    let label = |changes: &Changes| match &changes[0].1 {
        Some(Object::Namespace(n)) => n.meta.labels["l"].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(label(&files.set("a", &namespace("n", "from-a"))), "from-a");
    assert_eq!(label(&files.remove("a")), "from-b");
    assert_eq!(label(&files.remove("b")), "from-c");
    assert!(files.problems().is_empty());
    assert_eq!(names(&files.remove("c")), ["-n"]);
}

#[test]
fn one_bad_document_leaves_the_others_alone() {
    let mut files = files();
    let with = |middle: &str| {
        format!("{}---\n{middle}\n---\n{}", namespace("a", "x"), namespace("c", "x"))
    };
    files.set("f", &with(&namespace("b", "x")));
    // Not even YAML: nobody knows which object that was, so everything the file had stays.
    assert!(files.set("f", &with("a: [")).is_empty());
    assert_eq!(files.problems()[0].document, 2);
    // A known object of a wrong type: that one stays as it was, the rest is taken.
    let wrong = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: 5}";
    let newer = with(wrong).replace("name: c", "name: d");
    assert_eq!(names(&files.set("f", &newer)), ["-c", "d"]);
    let problem = files.problems().remove(0);
    assert_eq!(
        (problem.object.as_str(), problem.field.as_str()),
        ("Namespace b", "metadata.labels")
    );
    assert_eq!(files.len(), 3);
}

#[test]
fn what_was_kept_comes_back() {
    let mut before = files();
    before.set("f", &namespace("a", "x"));
    let raw: Vec<String> = before.raw("f").into_iter().map(str::to_owned).collect();
    let mut after = files();
    assert_eq!(names(&after.restore("f", &raw)), ["a"]);
    assert!(after.set("f", &namespace("a", "x")).is_empty(), "nothing changed");
    let reference = ObjectRef::new(Kind::Namespace, "", "a");
    assert_eq!(after.all().changes[0].0, reference);
}

fn policy(name: &str, action: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{action: {action}, rules: [{{}}]}}\n"
    )
}

fn action(changes: &Changes) -> Option<Action> {
    match changes.first()?.1.as_ref()? {
        Object::AuthorizationPolicy(policy) => Some(policy.action),
        other => panic!("{other:?}"),
    }
}

fn said(files: &Files) -> String {
    files.problems().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn a_policy_that_was_never_read_denies_and_a_last_good_version_comes_first() {
    let mut files = files();
    assert_eq!(action(&files.set("f", &policy("p", "BLOCK"))), Some(Action::Deny));
    assert!(
        said(&files).contains("until it can be read, it denies everything"),
        "{}",
        said(&files)
    );
    // Over a restart, also of a directory that cannot be looked at then.
    let raw: Vec<String> = files.raw("f").into_iter().map(str::to_owned).collect();
    let mut after =
        Files::new(Context { mesh_config: Key::new("istio-system", "istio"), has_status: false });
    assert_eq!(action(&after.restore("f", &raw)), Some(Action::Deny));
    assert!(after.set("f", &policy("p", "BLOCK")).is_empty(), "nothing changed");
    assert!(said(&after).contains("it denies everything"), "{}", said(&after));
    // What stands in is no last good version; what could be read is.
    assert_eq!(action(&files.set("f", &policy("p", "ALLOW"))), Some(Action::Allow));
    assert!(files.set("f", &policy("p", "BLOCK")).is_empty());
    assert!(said(&files).ends_with("its last good version stays in force"), "{}", said(&files));
    let moved = format!("{}---\n{}", policy("p", "BLOCK"), policy("q", "BLOCK"));
    assert_eq!(action(&files.set("f", &moved)), Some(Action::Deny));
    assert_eq!(files.len(), 2);
    assert_eq!(names(&files.set("f", &policy("p", "ALLOW"))), ["-q"]);
}

#[test]
fn problems_are_listed_up_to_a_limit() {
    let mut files = files();
    let stranger = "kind: Stranger\n---\n";
    files.set("f", &stranger.repeat(limits::MAX_PROBLEMS / 2));
    files.set("g", &stranger.repeat(limits::MAX_PROBLEMS));
    assert_eq!(files.problems().len(), limits::MAX_PROBLEMS);
    assert_eq!(names(&files.set("h", &namespace("a", "x"))), ["a"], "and others are read");
}

#[test]
fn a_file_that_would_make_too_many_objects_is_not_read_and_keeps_what_it_held() {
    let mut files = files();
    files.set("f", &namespace("good", "x"));
    let object =
        |n| format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"n{n}"}}}}"#);
    let many: Vec<String> = (0..limits::MAX_OBJECTS - 1).map(object).collect();
    files.restore("many", &many);
    assert_eq!(files.len(), limits::MAX_OBJECTS);
    let two = format!("{}---\n{}", namespace("good", "y"), namespace("more", "x"));
    assert!(files.set("f", &two).is_empty());
    assert!(said(&files).contains("MAX_OBJECTS"), "{}", said(&files));
    assert_eq!(names(&files.set("f", &namespace("good", "y"))), ["good"], "as many as before");
}
