use std::collections::HashMap;

use super::*;
use crate::translate::{Family, Resource as Derived};
use crate::xds::table::Table;

const URL: &str = "type.example/thing";

fn put(table: &Table, name: &str, body: &str, groups: &[&str]) {
    table.put(Derived {
        family: Family::Address,
        name: name.to_owned(),
        body: body.as_bytes().to_vec(),
        aliases: vec![format!("/{name}")],
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
    });
}

fn kind(table: &Table, on_demand: bool, scoped: bool) -> Type {
    Type { url: URL, table: table.clone(), on_demand, scoped }
}

fn client() -> Client {
    Client {
        id: "id".to_owned(),
        is_node_proxy: true,
        node: "node-a".to_owned(),
        scope: "shop/waypoint".to_owned(),
    }
}

fn request(add: &[&str], remove: &[&str], nonce: &str) -> DeltaDiscoveryRequest {
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    DeltaDiscoveryRequest {
        type_url: URL.to_owned(),
        resource_names_subscribe: own(add),
        resource_names_unsubscribe: own(remove),
        response_nonce: nonce.to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn holding(names: &[(&str, &str)]) -> DeltaDiscoveryRequest {
    let held = names.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    DeltaDiscoveryRequest {
        initial_resource_versions: held.collect::<HashMap<_, _>>(),
        ..request(&[], &[], "")
    }
}

/// Names that came and names that are gone.
fn said(response: &DeltaDiscoveryResponse) -> (Vec<&str>, Vec<&str>) {
    let came = response.resources.iter().map(|r| r.name.as_str()).collect();
    (came, response.removed_resources.iter().map(String::as_str).collect())
}

fn begin(kind: Type, first: &DeltaDiscoveryRequest) -> (Subscription, DeltaDiscoveryResponse) {
    Subscription::begin(kind, &client(), first).expect("begins")
}

#[test]
fn a_first_response_is_what_the_client_lacks_and_what_is_gone() {
    let table = Table::default();
    put(&table, "a", "1", &[]);
    put(&table, "b", "1", &[]);
    let (_, all) = begin(kind(&table, false, false), &request(&[], &[], ""));
    assert_eq!(said(&all), (vec!["a", "b"], vec![]));
    let version = all.resources[0].version.clone();
    let held = holding(&[("a", &version), ("b", "old"), ("gone", "1")]);
    let (_, rest) = begin(kind(&table, false, false), &held);
    assert_eq!(said(&rest), (vec!["b"], vec!["gone"]));
    assert!(rest.resources[0].aliases.is_empty(), "who has everything needs no aliases");
}

#[test]
fn what_changes_is_pushed_once_and_at_its_latest() {
    let table = Table::default();
    put(&table, "a", "1", &[]);
    let (mut subscription, _) = begin(kind(&table, false, false), &request(&[], &[], ""));
    assert!(!subscription.is_behind());
    put(&table, "a", "2", &[]);
    put(&table, "b", "1", &[]);
    table.remove("b");
    assert!(subscription.is_behind());
    let push = subscription.push().expect("not behind").expect("news");
    assert_eq!(said(&push), (vec!["a"], vec!["b"]));
    assert!(!subscription.is_behind());
    assert_eq!(subscription.push().expect("not behind"), None);
}

#[test]
fn only_the_word_on_the_latest_response_counts() {
    let table = Table::default();
    let (mut subscription, first) = begin(kind(&table, false, false), &request(&[], &[], ""));
    put(&table, "a", "1", &[]);
    for (case, nonce, unacknowledged) in [
        ("an old one", "0", true),
        ("a strange one", "x", true),
        ("the latest", &first.nonce, false),
    ] {
        let answer = subscription.request(&request(&[], &[], nonce)).expect("no error");
        assert_eq!(answer, Answer::None, "{case}");
        assert_eq!(subscription.unacknowledged, unacknowledged, "{case}");
    }
    assert_eq!(subscription.acknowledged(), 0);
    let push = subscription.push().expect("not behind").expect("news");
    assert_eq!(subscription.acknowledged(), 0, "sent, not taken");
    subscription.request(&request(&[], &[], &push.nonce)).expect("no error");
    assert_eq!(subscription.acknowledged(), table.revision());
}

#[test]
fn a_rejection_is_a_word_too_and_asks_for_nothing() {
    let table = Table::default();
    put(&table, "a", "1", &[]);
    let (mut subscription, first) = begin(kind(&table, false, false), &request(&[], &[], ""));
    let mut rejection = request(&["b"], &[], &first.nonce);
    rejection.error_detail = Some(hbone::wire::pb::google::rpc::Status::default());
    assert_eq!(subscription.request(&rejection).expect("no error"), Answer::None);
    assert!(!subscription.unacknowledged);
    assert_eq!(subscription.acknowledged(), table.revision(), "it will not take it later");
}

#[test]
fn on_demand_the_names_asked_for_are_followed_until_they_are_given_back() {
    let table = Table::default();
    put(&table, "local", "1", &["node:node-a"]);
    put(&table, "a", "1", &[]);
    let nothing = request(&["*"], &["*"], "");
    let (mut subscription, first) = begin(kind(&table, true, false), &nothing);
    assert_eq!(said(&first), (vec!["local"], vec![]), "what is on its node, always");
    let Answer::Now(answer) = subscription.request(&request(&["/a", "no"], &[], "")).expect("ok")
    else {
        panic!("a look-up is answered")
    };
    assert_eq!(said(&answer), (vec!["a"], vec!["/a", "no"]), "an alias is gone as a name");
    assert_eq!(answer.resources[0].aliases, ["/a"]);
    put(&table, "no", "1", &[]);
    put(&table, "other", "1", &[]);
    let push = subscription.push().expect("not behind").expect("news");
    assert_eq!(said(&push), (vec!["no"], vec![]), "what was not there comes; others do not");
    subscription.request(&request(&[], &["/a"], "")).expect("ok");
    put(&table, "a", "2", &[]);
    let push = subscription.push().expect("not behind").expect("what is held stays true");
    assert_eq!(said(&push), (vec!["a"], vec![]));
}

#[test]
fn too_many_names_end_the_stream() {
    let table = Table::default();
    let (mut subscription, _) = begin(kind(&table, true, false), &request(&["*"], &["*"], ""));
    let names: Vec<String> = (0..=limits::MAX_NAMES_PER_STREAM).map(|n| n.to_string()).collect();
    let mut many = request(&[], &[], "");
    many.resource_names_subscribe = names;
    assert_eq!(subscription.request(&many), Err(SubscriptionError::TooManyNames));
}

#[test]
fn a_scope_is_the_client_s_own_and_cannot_be_widened() {
    let table = Table::default();
    put(&table, "own", "1", &["shop/waypoint"]);
    put(&table, "shared", "1", &[EVERY_WAYPOINT]);
    put(&table, "another", "1", &["bank/waypoint"]);
    let (mut subscription, first) =
        begin(kind(&table, false, true), &request(&["another", "*"], &[], ""));
    assert_eq!(said(&first), (vec!["own", "shared"], vec![]));
    let Answer::Now(answer) = subscription.request(&request(&["another"], &[], "")).expect("ok")
    else {
        panic!("answered")
    };
    assert_eq!(said(&answer), (vec![], vec![]));
    // It leaves the scope, and another enters.
    put(&table, "own", "2", &["bank/waypoint"]);
    put(&table, "another", "2", &["shop/waypoint"]);
    let push = subscription.push().expect("not behind").expect("news");
    assert_eq!(said(&push), (vec!["another"], vec!["own"]));
    put(&table, "own", "3", &["bank/waypoint"]);
    assert_eq!(subscription.push().expect("not behind"), None, "no business of it");
    assert_eq!(subscription.acknowledged(), table.revision(), "so nothing is to be taken");
}
