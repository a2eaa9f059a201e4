use super::*;
use crate::translate::tests::world;

/// The providers of a mesh configuration.
fn providers(list: &str) -> Vec<pb::Provider> {
    let yaml = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    extensionProviders:\n    {list}\n"
    );
    let derived = derive(&world(&yaml));
    let decode = |r: &Resource| pb::Provider::decode(r.body.as_slice()).expect("decodes");
    assert!(derived.resources.iter().all(|r| r.groups == [EVERY_WAYPOINT]));
    derived.resources.iter().map(decode).collect()
}

#[test]
fn a_provider_is_sent_or_the_reason_why_it_cannot_be_used() {
    let grpc = |fields: &str| format!("- {{name: e, envoyExtAuthzGrpc: {{{fields}}}}}");
    let service = "service: policy.shop.svc.cluster.local, port: 9000";
    for (case, yaml, invalid) in [
        ("as it should be", grpc(service), ""),
        ("with its namespace", grpc("service: shop/policy.shop.svc.cluster.local, port: 9000"), ""),
        (
            "another namespace",
            grpc("service: bank/policy.shop.svc.cluster.local, port: 9000"),
            "write name.namespace.svc",
        ),
        ("no full name", grpc("service: policy, port: 9000"), "write name.namespace.svc"),
        ("no duration", grpc(&format!("{service}, timeout: soon")), "write a duration"),
        ("no status", grpc(&format!("{service}, statusOnError: '200'")), "write 400 to 599"),
        (
            "over HTTP",
            "- {name: e, envoyExtAuthzHttp: {service: x, port: 80}}".to_owned(),
            "use envoyExtAuthzGrpc",
        ),
        ("neither", "- {name: e}".to_owned(), "has no envoyExtAuthzGrpc"),
    ] {
        let found = providers(&yaml);
        let [provider] = found.as_slice() else { panic!("{case}: {found:?}") };
        assert_eq!(provider.invalid.is_empty(), invalid.is_empty(), "{case}: {}", provider.invalid);
        assert!(provider.invalid.contains(invalid), "{case}: {}", provider.invalid);
        let object = provider.object.clone().expect("named");
        assert_eq!(
            (object.namespace.as_str(), object.name.as_str()),
            ("istio-system", "e"),
            "{case}"
        );
    }
}

#[test]
fn settings_arrive_as_written() {
    let found = providers(
        "- {name: e, envoyExtAuthzGrpc: {service: policy.shop.svc.cluster.local, port: 9000, timeout: 75ms, failOpen: true, statusOnError: '503', includeRequestBodyInCheck: {maxRequestBytes: 1024, allowPartialMessage: true}}}",
    );
    let provider = &found[0];
    let service = provider.service.clone().expect("there");
    assert_eq!((service.namespace.as_str(), provider.port), ("shop", 9000));
    assert_eq!(provider.timeout.map(|t| t.nanos), Some(75_000_000));
    assert_eq!((provider.fail_open, provider.status_on_error), (true, 503));
    assert_eq!((provider.max_request_bytes, provider.allow_partial_message), (1024, true));
}
