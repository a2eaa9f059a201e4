use super::*;
use crate::translate::Family;

fn resource(name: &str, body: &str) -> Resource {
    Resource {
        family: Family::Address,
        name: name.to_owned(),
        body: body.as_bytes().to_vec(),
        aliases: vec![format!("/{name}")],
        groups: vec!["g".to_owned()],
    }
}

fn names(changes: &Changes) -> (Vec<&str>, Vec<&str>) {
    let updated = changes.updated.iter().map(|(n, _)| &**n).collect();
    (updated, changes.removed.iter().map(|n| &**n).collect())
}

#[test]
fn a_slow_subscriber_hears_the_latest_of_each() {
    let table = Table::default();
    for n in 0..1_000 {
        assert!(table.put(resource("a", &n.to_string())));
    }
    assert!(!table.put(resource("a", "999")), "the same is no change");
    table.put(resource("b", "1"));
    table.remove("b");
    let changes = table.since(0).expect("not behind");
    assert_eq!(names(&changes), (vec!["a"], vec!["b"]));
    assert_eq!(changes.updated[0].1.body, "999");
    assert_eq!(names(&table.since(changes.revision).expect("not behind")), (vec![], vec![]));
    table.put(resource("b", "2"));
    assert_eq!(names(&table.since(changes.revision).expect("not behind")), (vec!["b"], vec![]));
}

#[test]
fn who_is_too_far_behind_is_told_so() {
    let table = Table::default();
    table.put(resource("keep", "1"));
    let at = table.revision();
    for n in 0..=limits::MAX_TOMBSTONES {
        table.put(resource(&format!("r{n}"), "x"));
        table.remove(&format!("r{n}"));
    }
    assert_eq!(table.since(at).expect_err("behind"), TooFarBehind);
    assert!(table.since(table.revision()).is_ok());
    assert_eq!(names(&table.all()), (vec!["keep"], vec![]));
}

#[test]
fn a_key_finds_by_name_alias_and_group() {
    let table = Table::default();
    table.put(resource("a", "1"));
    table.put(resource("b", "1"));
    let found = |key: &str| table.find(key).iter().map(|(n, _)| n.to_string()).collect::<Vec<_>>();
    assert_eq!(found("a"), ["a"]);
    assert_eq!(found("/b"), ["b"]);
    assert_eq!(found("g"), ["a", "b"]);
    assert!(found("c").is_empty());
    table.remove("a");
    assert_eq!(found("g"), ["b"]);
    assert!(found("/a").is_empty());
}
