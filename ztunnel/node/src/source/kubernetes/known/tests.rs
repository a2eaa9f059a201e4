use serde_json::json;

use super::*;

fn pod(uid: &str, name: &str, labels: &serde_json::Value) -> ApiPod {
    let object = json!({
        "metadata": {"uid": uid, "name": name, "namespace": "shop", "labels": labels,
            "annotations": {"ambient.istio.io/redirection": "enabled", "other/long": "text"}},
        "spec": {"containers": [], "serviceAccountName": "web", "nodeName": "node-a"},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.1.0.5"}, {"ip": "fd00::5"}]},
    });
    serde_json::from_value(object).expect("a Pod")
}

fn namespace(mode: Option<&str>) -> PartialObjectMeta<Namespace> {
    let labels = mode.map(|mode| (label::DATAPLANE_MODE.to_owned(), mode.to_owned()));
    let metadata = ObjectMeta {
        name: Some("shop".to_owned()),
        labels: labels.map(|label| BTreeMap::from([label])),
        ..ObjectMeta::default()
    };
    PartialObjectMeta { metadata, ..PartialObjectMeta::default() }
}

/// Everything is listed: one pod in an enrolled namespace.
fn synced() -> Known {
    let mut known = Known::default();
    assert!(known.pod(Event::InitApply(pod("u1", "web", &json!({})))).is_empty());
    assert!(known.pod(Event::InitDone).is_empty(), "namespaces are not known");
    assert!(known.namespace(Event::InitApply(namespace(Some("ambient")))).is_empty());
    let news = known.namespace(Event::InitDone);
    let [PodEvent::Snapshot(pods)] = news.as_slice() else { panic!("{news:?}") };
    let [web] = pods.as_slice() else { panic!("{pods:?}") };
    assert!(web.labelled && web.ips.len() == 2 && web.service_account == "web");
    assert_eq!(web.annotations.len(), 1, "others are left out: {:?}", web.annotations);
    known
}

fn only(news: Vec<PodEvent>) -> Pod {
    match <[PodEvent; 1]>::try_from(news) {
        Ok([PodEvent::Changed(pod)]) => *pod,
        other => panic!("one change: {other:?}"),
    }
}

#[test]
fn labels_of_pod_and_namespace_say_who_takes_part() {
    let mut known = synced();
    let leaves = only(known.namespace(Event::Apply(namespace(None))));
    assert!(!leaves.labelled);
    assert!(known.namespace(Event::Apply(namespace(None))).is_empty(), "no news");
    for (labels, want) in [
        (json!({"istio.io/dataplane-mode": "ambient"}), true),
        (json!({}), false),
        (
            json!({
                "istio.io/dataplane-mode": "ambient",
                "gateway.networking.k8s.io/gateway-name": "waypoint",
            }),
            false,
        ),
    ] {
        let changed = only(known.pod(Event::Apply(pod("u1", "web", &labels))));
        assert_eq!(changed.labelled, want, "{labels}");
    }
}

#[test]
fn a_pod_of_an_unknown_namespace_is_told_once_it_is_known() {
    let mut known = synced();
    known.namespace(Event::Delete(namespace(None)));
    assert!(known.pod(Event::Apply(pod("u2", "new", &json!({})))).is_empty());
    let news = known.namespace(Event::Apply(namespace(Some("ambient"))));
    assert_eq!(news.len(), 2, "both pods: {news:?}");
}

#[test]
fn another_pod_of_a_name_ends_the_one_before() {
    let mut known = synced();
    let news = known.pod(Event::Apply(pod("u2", "web", &json!({}))));
    let [PodEvent::Removed(old), PodEvent::Changed(new)] = news.as_slice() else {
        panic!("{news:?}")
    };
    assert_eq!((old.as_str(), new.uid.as_str()), ("u1", "u2"));
    assert!(known.written(old).is_none());
    assert!(known.pod(Event::Delete(pod("u1", "web", &json!({})))).is_empty(), "told already");
}

#[test]
fn a_new_list_takes_nothing_away_before_it_is_complete() {
    let mut known = synced();
    assert!(known.pod(Event::Init).is_empty());
    assert!(known.pod(Event::InitApply(pod("u2", "db", &json!({})))).is_empty());
    assert!(known.written(&Uid::from("u1")).is_some());
    let news = known.pod(Event::InitDone);
    let [PodEvent::Snapshot(pods)] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(pods.iter().map(|pod| pod.uid.as_str()).collect::<Vec<_>>(), ["u2"]);
}

#[test]
fn a_pod_that_cannot_be_understood_is_left_as_it_is_known() {
    let mut known = synced();
    let mut odd = pod("u1", "web", &json!({}));
    odd.metadata.name = Some("../web".to_owned());
    assert!(known.pod(Event::Apply(odd)).is_empty());
    assert!(known.written(&Uid::from("u1")).is_some());
}
