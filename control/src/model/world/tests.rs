use super::*;
use crate::model::report::Enrolment;
use crate::translate::tests::world;

fn pod(uid: &str, node: &str) -> Object {
    let meta = super::super::object::Meta {
        key: Key::new("shop", "a"),
        ..super::super::object::Meta::default()
    };
    Object::Pod(Box::new(Pod {
        meta,
        uid: uid.to_owned(),
        node: node.to_owned(),
        ..Pod::default()
    }))
}

fn on(world: &World, node: &str) -> usize {
    world.pods_on(node).count()
}

#[test]
fn a_pod_is_found_on_its_node_and_only_there() {
    let mut world = world("");
    let name = ObjectRef::new(Kind::Pod, "shop", "a");
    world.put(&name, Some(pod("1", "n")));
    assert_eq!((on(&world, "n"), on(&world, "m")), (1, 0));
    world.put(&name, Some(pod("1", "m")));
    assert_eq!((on(&world, "n"), on(&world, "m")), (0, 1));
    world.put(&name, None);
    assert_eq!((on(&world, "n"), on(&world, "m")), (0, 0));
    assert!(world.refs(Kind::Pod).is_empty());
}

#[test]
fn a_report_is_of_one_pod_and_not_of_the_next_of_its_name() {
    let mut world = world("");
    let name = ObjectRef::new(Kind::Pod, "shop", "a");
    let report = Report { state: Enrolment::Enrolled, ..Report::default() };
    world.put(&name, Some(pod("1", "n")));
    assert!(world.set_report("1", &report), "news");
    assert!(!world.set_report("1", &report), "no news");
    world.put(&name, Some(pod("1", "m")));
    assert!(world.report("1").is_some(), "the same pod");
    world.put(&name, Some(pod("2", "m")));
    assert!(world.report("1").is_none() && world.report("2").is_none(), "another pod");
    world.set_report("2", &report);
    world.put(&name, None);
    assert!(world.report("2").is_none());
}

#[test]
fn a_slice_is_found_by_its_service_and_its_pods_and_no_longer_when_it_changes() {
    let slice = |service: &str, pod: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: IPv4\nendpoints: [{{addresses: [10.0.0.9], targetRef: {{kind: Pod, name: {pod}}}}}]\nports: []\n"
        )
    };
    let mut first = world(&slice("x", "a"));
    let count = |world: &World, service: &str, pod: &str| {
        let (service, pod) = (Key::new("shop", service), Key::new("shop", pod));
        (world.slices_of(&service).count(), world.slices_with(&pod).count())
    };
    assert_eq!(count(&first, "x", "a"), (1, 1));
    let second = world(&slice("y", "b"));
    let moved = second.slice(&Key::new("shop", "s")).expect("there").clone();
    let name = ObjectRef::new(Kind::EndpointSlice, "shop", "s");
    first.put(&name, Some(Object::EndpointSlice(moved)));
    assert_eq!((count(&first, "x", "a"), count(&first, "y", "b")), ((0, 0), (1, 1)));
    first.put(&name, None);
    assert_eq!(count(&first, "y", "b"), (0, 0));
}

#[test]
fn a_namespace_is_not_another_one_that_begins_alike() {
    let pod = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: {namespace}}}\nspec: {{containers: []}}\n---\n"
        )
    };
    let world = world(&["shop", "shop-2", "sho", "shopping"].map(pod).concat());
    let found: Vec<&str> = world.pods_in("shop").map(|p| p.meta.key.namespace.as_str()).collect();
    assert_eq!(found, ["shop"]);
}

#[test]
fn an_empty_selector_selects_nothing() {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Map>()
    };
    let labels = map(&[("a", "1"), ("b", "2")]);
    for (selector, want) in [
        (map(&[]), false),
        (map(&[("a", "1")]), true),
        (map(&[("a", "1"), ("b", "2")]), true),
        (map(&[("a", "2")]), false),
        (map(&[("a", "1"), ("c", "3")]), false),
    ] {
        assert_eq!(selects(&selector, &labels), want, "{selector:?}");
    }
}
