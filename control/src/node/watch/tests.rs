use super::*;
use crate::translate::{Family, Resource};

fn put(table: &Table, name: &str, uid: &str, node: &str) {
    let (namespace, short) = name.split_once('/').expect("a namespace");
    let pod = Pod {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: short.to_owned(),
        ..Pod::default()
    };
    table.put(Resource {
        family: Family::NodePod,
        name: name.to_owned(),
        body: pod.encode_to_vec(),
        aliases: Vec::new(),
        groups: vec![node.to_owned()],
    });
}

/// `+uid` for a pod, `-uid` for one that is gone.
fn said(updates: Vec<NodeUpdate>) -> Vec<String> {
    let word = |update: NodeUpdate| match update.update {
        Some(Update::Pod(pod)) => format!("+{}", pod.uid),
        Some(Update::Removed(removed)) => format!("-{}", removed.uid),
        Some(Update::Snapshot(snapshot)) => {
            format!(
                "={}",
                snapshot.pods.iter().map(|p| p.uid.as_str()).collect::<Vec<_>>().join(",")
            )
        }
        None => "?".to_owned(),
    };
    updates.into_iter().map(word).collect()
}

#[test]
fn a_node_hears_of_its_own_pods_from_the_first_to_the_last() {
    let table = Table::default();
    put(&table, "shop/a", "1", "n");
    put(&table, "shop/other", "2", "m");
    let (mut view, snapshot) = View::begin(table.clone(), "n");
    assert_eq!(said(vec![snapshot]), ["=1"]);
    let mut hears = |case: &str, want: &[&str]| {
        assert_eq!(said(view.changes().expect("not behind")), want, "{case}");
    };
    hears("nothing", &[]);
    put(&table, "shop/b", "3", "n");
    hears("a new one", &["+3"]);
    put(&table, "shop/other", "4", "m");
    hears("another node's", &[]);
    put(&table, "shop/a", "5", "n");
    hears("another pod of the same name", &["-1", "+5"]);
    put(&table, "shop/b", "3", "m");
    hears("one that moves away", &["-3"]);
    put(&table, "shop/b", "3", "n");
    hears("and comes back", &["+3"]);
    table.remove("shop/b");
    table.remove("shop/other");
    hears("one that is gone, and one that it never knew", &["-3"]);
}

#[test]
fn a_report_is_on_a_pod_that_the_node_has_heard_of() {
    let table = Table::default();
    put(&table, "shop/a", "1", "n");
    put(&table, "shop/other", "2", "m");
    let (view, _) = View::begin(table, "n");
    assert_eq!(view.pod("1"), Some(Key::new("shop", "a")));
    for stranger in ["2", "", "shop/a"] {
        assert_eq!(view.pod(stranger), None, "{stranger:?}");
    }
}
