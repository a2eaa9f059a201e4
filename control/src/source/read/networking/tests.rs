use super::*;
use crate::model::entry::Protocol;
use crate::model::object::Key;
use crate::source::read::{Read, read};

const GOOD: &str = "hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}]";

fn parse(kind: &str, spec: &str, more: &str) -> std::result::Result<Read, ReadError> {
    let text = format!(
        "{{apiVersion: networking.istio.io/v1, kind: {kind}, metadata: {{name: a, namespace: shop{more}}}, spec: {{{spec}}}}}"
    );
    let value = crate::source::document::parse(&text).expect("YAML");
    let context = Context { mesh_config: Key::new("istio-system", "istio"), has_status: true };
    read(&value, &context)
}

fn entry(spec: &str) -> ServiceEntry {
    match parse("ServiceEntry", spec, "").expect(spec).value {
        Object::ServiceEntry(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

fn workload(spec: &str, more: &str) -> WorkloadEntry {
    match parse("WorkloadEntry", spec, more).expect(spec).value {
        Object::WorkloadEntry(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

fn wrong(kind: &str, spec: &str, field: &str, message: &str) {
    let error = parse(kind, spec, "").expect_err(spec);
    assert_eq!(error.path(), field, "{spec}: {error}");
    assert!(error.to_string().contains(message), "{spec}: {error}");
}

#[test]
fn an_entry_is_read_in_every_field() {
    let entry = entry(
        "hosts: [API.example.com, '*.example.org'], addresses: [192.0.2.1/24, 'fd00::1', 192.0.2.9/24],
        ports: [{number: 443, name: web, protocol: https, targetPort: 8443}, {number: 80, name: bare}],
        location: MESH_INTERNAL, resolution: DNS_ROUND_ROBIN, exportTo: ['.'],
        endpoints: [{address: db.example.com, ports: {web: 9443}, labels: {app: db}, network: n,
            locality: r/z, weight: 3, serviceAccount: db}, {address: '2001:db8::1'}],
        subjectAltNames: ['spiffe://td/ns/a/sa/b', 'api.example.com']",
    );
    assert_eq!(entry.hosts, ["api.example.com", "*.example.org"]);
    let blocks: Vec<String> = entry.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(blocks, ["192.0.2.0/24", "fd00::1/128"], "canonical, and each once");
    let [web, bare] = entry.ports.as_slice() else { panic!("{:?}", entry.ports) };
    assert_eq!((web.number, web.target, web.protocol), (443, 8443, Protocol::Tls));
    assert_eq!((bare.number, bare.target, bare.protocol), (80, 80, Protocol::Unknown));
    assert_eq!(entry.resolution, Resolution::Dns);
    assert_eq!(entry.visibility, Visibility::Namespace);
    assert_eq!(entry.subject_alt_names, ["spiffe://td/ns/a/sa/b"]);
    let [db, ip] = entry.endpoints.as_slice() else { panic!("{:?}", entry.endpoints) };
    assert_eq!(db.place, Place::Host("db.example.com".to_owned()));
    assert_eq!((db.ports["web"], db.weight, db.network.as_str()), (9443, 3, "n"));
    assert_eq!(db.locality, ["r", "z", ""]);
    assert_eq!(ip.place, Place::Ip("2001:db8::1".parse().expect("an address")));
}

#[test]
fn a_mistake_in_an_entry_says_where_it_is_and_what_would_be_right() {
    let ports = "ports: [{number: 80, name: http}]";
    let host = "hosts: [a.b]";
    for (spec, field, message) in [
        (ports.to_owned(), "spec.hosts", "names no host"),
        (format!("hosts: [], {ports}"), "spec.hosts", "write at least one"),
        (format!("hosts: [a..b], {ports}"), "spec.hosts[0]", "write a name such as"),
        (format!("hosts: ['*'], {ports}"), "spec.hosts[0]", "*.example.com"),
        (format!("hosts: [a.*.b], {ports}"), "spec.hosts[0]", "write a name such as"),
        (format!("hosts: [-a.b], {ports}"), "spec.hosts[0]", "write a name such as"),
        (format!("hosts: [192.0.2.1], {ports}"), "spec.hosts[0]", "write it in spec.addresses"),
        (format!("hosts: [a.b, A.B], {ports}"), "spec.hosts[1]", "write it once"),
        (host.to_owned(), "spec.ports", "names no port"),
        (format!("{host}, ports: []"), "spec.ports", "names no port"),
        (
            format!("{host}, ports: [{{number: 0, name: a}}]"),
            "spec.ports[0].number",
            "write 1 to 65535",
        ),
        (
            format!("{host}, ports: [{{number: 65536, name: a}}]"),
            "spec.ports[0].number",
            "is 65536",
        ),
        (
            format!("{host}, ports: [{{number: 1, name: a, targetPort: 0}}]"),
            "spec.ports[0].targetPort",
            "is 0",
        ),
        (format!("{host}, ports: [{{number: 1}}]"), "spec.ports[0].name", "is missing"),
        (
            format!("{host}, ports: [{{number: 1, name: a}}, {{number: 2, name: a}}]"),
            "spec.ports[1].name",
            "again",
        ),
        (
            format!("{host}, ports: [{{number: 1, name: a}}, {{number: 1, name: b}}]"),
            "spec.ports[1].number",
            "again",
        ),
        (
            format!("{host}, ports: [{{number: 1, name: a, protocol: SMTP}}]"),
            "spec.ports[0].protocol",
            "write HTTP, HTTP2",
        ),
        (format!("{GOOD}, resolution: ANY"), "spec.resolution", "DYNAMIC_DNS"),
        (format!("{GOOD}, location: MOON"), "spec.location", "MESH_EXTERNAL"),
        (format!("{GOOD}, resolution: STATIC"), "spec.resolution", "there are no endpoints"),
        (
            format!("{GOOD}, resolution: NONE, endpoints: [{{address: 192.0.2.1}}]"),
            "spec.resolution",
            "write STATIC or DNS",
        ),
        (
            format!("{GOOD}, resolution: DYNAMIC_DNS, endpoints: [{{address: 192.0.2.1}}]"),
            "spec.resolution",
            "leave endpoints out",
        ),
        (
            format!("hosts: ['*.a.b'], {ports}, resolution: DNS"),
            "spec.resolution",
            "write DYNAMIC_DNS",
        ),
        (
            format!("{GOOD}, resolution: STATIC, endpoints: [{{address: db.example.com}}]"),
            "spec.endpoints[0].address",
            "or write resolution DNS",
        ),
        (
            format!("{GOOD}, resolution: STATIC, endpoints: [{{}}]"),
            "spec.endpoints[0].address",
            "is missing",
        ),
        (
            format!("{GOOD}, resolution: DNS, endpoints: [{{address: 'unix:///x'}}]"),
            "spec.endpoints[0].address",
            "write an address such as",
        ),
        (
            format!("{GOOD}, resolution: DNS, endpoints: [{{address: a.b}}, {{address: A.b}}]"),
            "spec.endpoints[1].address",
            "each address once",
        ),
        (
            format!(
                "{GOOD}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, ports: {{other: 1}}}}]"
            ),
            "spec.endpoints[0].ports",
            "no name in spec.ports",
        ),
        (
            format!(
                "{GOOD}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, ports: {{http: 0}}}}]"
            ),
            "spec.endpoints[0].ports.http",
            "is 0",
        ),
        (
            format!(
                "{GOOD}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, locality: a/b/c/d}}]"
            ),
            "spec.endpoints[0].locality",
            "region/zone/subzone",
        ),
        (
            format!(
                "{GOOD}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, serviceAccount: 'a/b'}}]"
            ),
            "spec.endpoints[0].serviceAccount",
            "ServiceAccount",
        ),
        (
            format!("{GOOD}, addresses: [192.0.2.0/33]"),
            "spec.addresses[0]",
            "write an address or a block",
        ),
        (
            format!(
                "{GOOD}, resolution: STATIC, workloadSelector: {{labels: {{a: b}}}}, endpoints: [{{address: 192.0.2.1}}]"
            ),
            "spec.workloadSelector",
            "keep one of them",
        ),
        (
            format!("{GOOD}, resolution: STATIC, workloadSelector: {{}}"),
            "spec.workloadSelector.labels",
            "selects nothing",
        ),
        (
            format!("{GOOD}, workloadSelctor: {{labels: {{a: b}}}}"),
            "spec.workloadSelctor",
            "is no field of this kind",
        ),
        (
            format!("{GOOD}, resolution: STATIC, endpoints: [{{address: 192.0.2.1, wieght: 2}}]"),
            "spec.endpoints[0].wieght",
            "is no field of this kind",
        ),
    ] {
        wrong("ServiceEntry", &spec, field, message);
    }
}

#[test]
fn an_entry_has_so_many_items_and_no_more() {
    let many =
        |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(", ");
    let ports = "ports: [{number: 80, name: http}]";
    let hosts = |n| format!("hosts: [{}], {ports}", many(n, &|i| format!("h{i}.b")));
    let addresses = |n| {
        format!("{GOOD}, addresses: [{}]", many(n, &|i| format!("10.0.{}.{}", i / 256, i % 256)))
    };
    let numbers = |n| {
        format!(
            "hosts: [a.b], ports: [{}]",
            many(n, &|i| format!("{{number: {}, name: p{i}}}", i + 1))
        )
    };
    let endpoints = |n| {
        let one = |i: usize| format!("{{address: 10.0.{}.{}}}", i / 256, i % 256);
        format!("{GOOD}, resolution: STATIC, endpoints: [{}]", many(n, &one))
    };
    entry(&hosts(MAX_ENTRY_ITEMS));
    entry(&addresses(MAX_ENTRY_ITEMS));
    entry(&numbers(MAX_ENTRY_ITEMS));
    entry(&endpoints(MAX_ENTRY_ENDPOINTS));
    for (field, spec) in [
        ("spec.hosts", hosts(MAX_ENTRY_ITEMS + 1)),
        ("spec.addresses", addresses(MAX_ENTRY_ITEMS + 1)),
        ("spec.ports", numbers(MAX_ENTRY_ITEMS + 1)),
        ("spec.endpoints", endpoints(MAX_ENTRY_ENDPOINTS + 1)),
    ] {
        wrong("ServiceEntry", &spec, field, "write at most");
    }
}

#[test]
fn who_sees_an_entry_is_never_more_than_was_written() {
    for (export, want, noted) in [
        ("", Visibility::Public, false),
        ("exportTo: []", Visibility::Public, false),
        ("exportTo: ['*']", Visibility::Public, false),
        ("exportTo: ['.', '*']", Visibility::Public, false),
        ("exportTo: ['.']", Visibility::Namespace, false),
        ("exportTo: [shop]", Visibility::Namespace, false),
        ("exportTo: ['~']", Visibility::Nobody, false),
        ("exportTo: [bank]", Visibility::Namespace, true),
        ("exportTo: ['.', bank]", Visibility::Namespace, true),
    ] {
        let read = parse("ServiceEntry", &format!("{GOOD}, {export}"), "").expect(export);
        let Object::ServiceEntry(entry) = read.value else { panic!("{export}") };
        assert_eq!(entry.visibility, want, "{export}");
        assert_eq!(read.notes.iter().any(|n| n.field == "spec.exportTo"), noted, "{export}");
    }
}

#[test]
fn udp_is_left_alone_and_other_names_than_spiffe_are_told_of() {
    let spec =
        "hosts: [a.b], ports: [{number: 53, name: dns, protocol: UDP}], subjectAltNames: [x]";
    let read = parse("ServiceEntry", spec, "").expect("read");
    let fields: Vec<&str> = read.notes.iter().map(|n| n.field.as_str()).collect();
    assert_eq!(fields, ["spec.ports[0].protocol", "spec.subjectAltNames[0]"]);
    let Object::ServiceEntry(entry) = read.value else { panic!("an entry") };
    assert!(entry.ports.is_empty() && entry.subject_alt_names.is_empty());
}

#[test]
fn given_addresses_come_from_the_status_if_it_is_ours() {
    let text = "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: a},
        spec: {hosts: [a.b], ports: [{number: 1, name: a}]},
        status: {addresses: [{value: 240.240.0.7, host: a.b}, {value: '2001:2::7', host: a.b},
            {value: 10.0.0.1, host: a.b}, {value: many, host: a.b}]}}";
    let value = crate::source::document::parse(text).expect("YAML");
    for (has_status, want) in [(true, vec!["240.240.0.7", "2001:2::7"]), (false, vec![])] {
        let context = Context { mesh_config: Key::new("istio-system", "istio"), has_status };
        let Object::ServiceEntry(entry) = read(&value, &context).expect("read").value else {
            panic!("an entry")
        };
        let given: Vec<String> = entry.given.values().flatten().map(ToString::to_string).collect();
        assert_eq!(given, want, "{has_status}");
    }
}

#[test]
fn a_workload_entry_has_the_labels_of_both_places() {
    let more = ", labels: {app: old, tier: a}";
    let entry = workload("address: 10.0.0.1, labels: {app: new}, ports: {http: 8080}", more);
    assert_eq!(entry.meta.label("app"), Some("new"));
    assert_eq!(entry.meta.label("tier"), Some("a"));
    assert_eq!(entry.endpoint.ports["http"], 8080);
    for (spec, field, message) in [
        ("", "spec.address", "is missing"),
        ("address: 'a b'", "spec.address", "write an address such as"),
        ("address: 10.0.0.1, ports: {a: 70000}", "spec.ports.a", "is 70000"),
        ("address: 10.0.0.1, adress: x", "spec.adress", "is no field"),
        ("address: 10.0.0.1, serviceAccount: A", "spec.serviceAccount", "ServiceAccount"),
    ] {
        wrong("WorkloadEntry", spec, field, message);
    }
}
