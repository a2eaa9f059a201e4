use super::*;

fn namespace(name: &str, leaves: bool) -> PartialObjectMeta<Namespace> {
    let name = Some(name.to_owned());
    let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now);
    let deletion_timestamp = leaves.then_some(time);
    let metadata = ObjectMeta { name, deletion_timestamp, ..ObjectMeta::default() };
    PartialObjectMeta { metadata, ..PartialObjectMeta::default() }
}

fn map(of: &str, content: &str) -> ConfigMap {
    let namespace = Some(of.to_owned());
    ConfigMap {
        metadata: ObjectMeta { namespace, ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(KEY.to_owned(), content.to_owned())])),
        ..ConfigMap::default()
    }
}

#[test]
fn what_lacks_the_bundle_is_known_once_both_lists_are() {
    let mut state = State::default();
    for name in ["a", "b", "c"] {
        state.namespace(Event::InitApply(namespace(name, false)));
    }
    state.namespace(Event::InitApply(namespace("going", true)));
    state.namespace(Event::InitDone);
    assert!(state.missing().is_empty(), "nothing is known of the ConfigMaps");
    state.map(Event::InitApply(map("a", "root")), "root");
    state.map(Event::InitApply(map("b", "old")), "root");
    state.map(Event::InitDone, "root");
    assert_eq!(state.missing(), ["b", "c"]);

    // Changed and removed by somebody; then a namespace that goes.
    state.map(Event::Apply(map("a", "evil")), "root");
    state.map(Event::Apply(map("b", "root")), "root");
    assert_eq!(state.missing(), ["a", "c"]);
    state.map(Event::Delete(map("b", "root")), "root");
    state.namespace(Event::Apply(namespace("c", true)));
    assert_eq!(state.missing(), ["a", "b"]);

    // A new list says what is there, once it is complete.
    state.namespace(Event::Init);
    assert_eq!(state.missing(), ["a", "b"]);
    state.namespace(Event::InitApply(namespace("b", false)));
    state.namespace(Event::InitDone);
    assert_eq!(state.missing(), ["b"]);
}
