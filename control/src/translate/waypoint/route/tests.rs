use super::*;
use crate::translate::tests::world;
use crate::translate::waypoint::shop::SHOP;

const BANK: &str = "
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {selector: {app: pay}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: shop, namespace: bank}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: '', kind: Service}]
---
";

/// The route's resource: what it says, and for whom it is.
fn route(parents: &str, rule: &str) -> Option<(pb::Route, Vec<String>)> {
    let yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop, creationTimestamp: '2026-01-02T03:04:05Z'}}\nspec: {{parentRefs: [{parents}], rules: [{rule}]}}\n"
    );
    let mut derived = Derived::default();
    add::<HttpMatch>(
        &world(&(SHOP.to_owned() + BANK + &yaml)),
        &Key::new("shop", "r"),
        &mut derived,
    );
    let resource = derived.resources.into_iter().next()?;
    Some((pb::Route::decode(resource.body.as_slice()).expect("decodes"), resource.groups))
}

const STORE: &str = "{kind: Service, name: store}";

#[test]
fn a_route_reaches_the_waypoints_of_its_parents() {
    for (case, parents, want) in [
        ("a bound service", STORE, Some((1, vec!["shop/wp"]))),
        ("the Gateway itself", "{name: wp}", Some((1, vec!["shop/wp"]))),
        ("both", "{kind: Service, name: store}, {name: wp}", Some((2, vec!["shop/wp"]))),
        ("a service without waypoint", "{kind: Service, name: plain}", None),
        (
            "one of two",
            "{kind: Service, name: plain}, {kind: Service, name: store}",
            Some((1, vec!["shop/wp"])),
        ),
        (
            "a bound entry, each host",
            "{group: networking.istio.io, kind: ServiceEntry, name: api}",
            Some((2, vec!["shop/wp"])),
        ),
        ("an entry of no group", "{kind: ServiceEntry, name: api}", None),
        (
            "an entry without waypoint",
            "{group: networking.istio.io, kind: ServiceEntry, name: loose}",
            None,
        ),
        ("a missing one", "{kind: Service, name: gone}", None),
        ("another's service", "{kind: Service, name: pay, namespace: bank}", None),
    ] {
        let found = route(parents, "{}").map(|(route, groups)| (route.parents.len(), groups));
        let want = want.map(|(n, groups)| (n, groups.into_iter().map(str::to_owned).collect()));
        assert_eq!(found, want, "{case}");
    }
}

/// A route in namespace bank for a service of namespace shop.
const CONSUMERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: bank}
spec:
  parentRefs: [{kind: Service, name: store, namespace: shop}, {name: wp, namespace: shop}]
  rules:
    - backendRefs: [{name: store, namespace: shop, port: 80}, {name: plain, namespace: shop, port: 80}]
";

#[test]
fn a_consumers_route_is_for_its_own_namespace_and_needs_no_grant_for_its_parent() {
    let mut derived = Derived::default();
    let world = world(&(SHOP.to_owned() + BANK + CONSUMERS));
    add::<HttpMatch>(&world, &Key::new("bank", "r"), &mut derived);
    let resource = derived.resources.first().expect("sent");
    assert_eq!(resource.groups, ["shop/wp"], "the waypoint of the service, not of the route");
    let sent = pb::Route::decode(resource.body.as_slice()).expect("decodes");
    let parents: Vec<&str> = sent.parents.iter().map(|p| p.consumer_namespace.as_str()).collect();
    assert_eq!(parents, ["bank"], "and nothing of a whole waypoint of others");
    let [parent, other] = [0, 1].map(|n| sent.rules[0].backends[n].target.clone());
    assert!(matches!(parent, Some(pb::backend::Target::Service(_))), "{parent:?}");
    assert!(
        matches!(&other, Some(pb::backend::Target::Invalid(why)) if why.contains("ReferenceGrant")),
        "{other:?}"
    );
}

#[test]
fn a_backend_is_a_service_or_the_reason_why_it_is_none() {
    use pb::backend::Target;
    for (backend, want) in [
        ("name: store, port: 80", Ok("store.shop.svc.cluster.local")),
        ("name: pay, namespace: bank, port: 80", Ok("pay.bank.svc.cluster.local")),
        ("name: store, namespace: other, port: 80", Err("ReferenceGrant")),
        ("name: gone, port: 80", Err("is not there")),
        ("name: store, port: 81", Err("no port 81")),
        ("name: store", Err("without port")),
        ("kind: Bucket, name: b", Err("write Service")),
    ] {
        let (route, _) =
            route(STORE, &format!("{{backendRefs: [{{{backend}, weight: 3}}]}}")).expect("sent");
        let sent = route.rules[0].backends[0].clone();
        assert_eq!(sent.weight, 3, "an unusable one keeps its share: {backend}");
        match (sent.target.expect("one of both"), want) {
            (Target::Service(service), Ok(host)) => assert_eq!(service.hostname, host),
            (Target::Invalid(why), Err(part)) => assert!(why.contains(part), "{backend}: {why}"),
            (other, _) => panic!("{backend}: {other:?}"),
        }
    }
}

#[test]
fn matches_keep_their_kind_and_what_is_not_known_never_holds() {
    use pb::path_match::Kind as Path;
    use pb::value_match::Kind as Value;
    for (text, want) in [
        ("{path: {type: Exact, value: /a}}", Path::Exact("/a".to_owned())),
        ("{path: {type: PathPrefix, value: /a}}", Path::Prefix("/a".to_owned())),
        ("{path: {value: /a}}", Path::Prefix("/a".to_owned())),
        ("{path: {type: RegularExpression, value: a+}}", Path::Regex("a+".to_owned())),
        ("{path: {type: Fuzzy, value: /a}}", Path::Exact(String::new())),
    ] {
        let (route, _) = route(STORE, &format!("{{matches: [{text}]}}")).expect("sent");
        let path = route.rules[0].matches[0].path.clone().expect("a path");
        assert_eq!(path.kind, Some(want), "{text}");
    }
    let all = "{method: GET, headers: [{name: h, value: v}, {name: g, type: RegularExpression, value: r}, {name: x, type: Fuzzy, value: y}], queryParams: [{name: q, value: w}]}";
    let (route, _) = route(STORE, &format!("{{matches: [{all}]}}")).expect("sent");
    let found = &route.rules[0].matches[0];
    let kinds: Vec<_> = found.headers.iter().chain(&found.query).map(|m| m.kind.clone()).collect();
    let exact = |text: &str| Some(Value::Exact(text.to_owned()));
    assert_eq!(kinds, [exact("v"), Some(Value::Regex("r".to_owned())), None, exact("w")]);
    assert_eq!(found.method, "GET");
}

#[test]
fn timeouts_and_retries_are_sent_and_a_wrong_one_stops_its_rule() {
    let rule = "{timeouts: {request: 2s, backendRequest: 500ms}, retry: {codes: [503], attempts: 3, backoff: 10ms}}";
    let (sent, _) = route(STORE, rule).expect("sent");
    let sent = &sent.rules[0];
    assert_eq!(sent.request_timeout.map(|d| d.seconds), Some(2));
    assert_eq!(sent.backend_timeout.map(|d| d.nanos), Some(500_000_000));
    let retry = sent.retry.clone().expect("there");
    assert_eq!((retry.codes, retry.attempts), (vec![503], 3));
    let (wrong, _) = route(STORE, "{timeouts: {request: soon}}").expect("sent");
    let Some(pb::filter::Kind::Unsupported(why)) = wrong.rules[0].filters[0].kind.clone() else {
        panic!("{wrong:?}")
    };
    assert!(why.contains("timeouts.request is \"soon\"; write a duration"), "{why}");
}

#[test]
fn the_age_of_a_route_decides_between_equals() {
    let (sent, _) = route(STORE, "{}").expect("sent");
    assert_eq!(sent.created_ms, 1_767_323_045_000);
    let object = sent.object.expect("named");
    assert_eq!((object.kind.as_str(), object.name.as_str()), ("HTTPRoute", "r"));
}

/// The resource of a GRPCRoute with this rule.
fn grpc_route(rule: &str) -> pb::Route {
    let yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: r, namespace: shop}}\nspec: {{parentRefs: [{STORE}], rules: [{rule}]}}\n"
    );
    let mut derived = Derived::default();
    add::<GrpcMatch>(
        &world(&(SHOP.to_owned() + BANK + &yaml)),
        &Key::new("shop", "r"),
        &mut derived,
    );
    let resource = derived.resources.into_iter().next().expect("a resource");
    assert_eq!(
        (&*resource.name, resource.groups),
        ("GRPCRoute/shop/r", vec!["shop/wp".to_owned()])
    );
    pb::Route::decode(resource.body.as_slice()).expect("decodes")
}

#[test]
fn a_grpc_route_matches_calls() {
    let call = |service: &str, method: &str, regex: bool| {
        Some(pb::GrpcMatch { service: service.to_owned(), method: method.to_owned(), regex })
    };
    for (case, matches, want) in [
        ("no match", "", call("", "", false)),
        ("every call", "{}", call("", "", false)),
        (
            "one method",
            "{method: {service: shop.Store, method: Order}}",
            call("shop.Store", "Order", false),
        ),
        (
            "one service",
            "{method: {type: Exact, service: shop.Store}}",
            call("shop.Store", "", false),
        ),
        ("one name", "{method: {method: Order}}", call("", "Order", false)),
        (
            "expressions",
            "{method: {type: RegularExpression, service: 'shop[.].*', method: 'Order|Pay'}}",
            call("shop[.].*", "Order|Pay", true),
        ),
        // No service is called so.
        ("neither", "{method: {}}", call("/", "", false)),
        ("another type", "{method: {type: Prefix, service: shop}}", call("/", "", false)),
    ] {
        let rule =
            if matches.is_empty() { "{}".to_owned() } else { format!("{{matches: [{matches}]}}") };
        let route = grpc_route(&rule);
        let found = &route.rules[0].matches;
        assert_eq!(found.len(), 1, "{case}");
        assert_eq!(found[0].grpc, want, "{case}");
    }
    let headers = "{matches: [{headers: [{name: x, value: a}, {name: y, type: RegularExpression, value: b.*}]}]}";
    let matching = &grpc_route(headers).rules[0].matches[0];
    assert!(matching.grpc.is_some() && matching.headers.len() == 2, "{matching:?}");
}

#[test]
fn a_grpc_route_has_backends_with_weights_and_two_filters() {
    use pb::filter::Kind as Filter;
    let route = grpc_route(
        "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x, value: a}]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [y]}}], backendRefs: [{name: store, port: 80, weight: 9}, {name: plain, port: 80}, {name: pay, namespace: bank, port: 80}]}",
    );
    let rule = &route.rules[0];
    assert!(matches!(rule.filters[0].kind, Some(Filter::RequestHeaders(_))));
    assert!(matches!(rule.filters[1].kind, Some(Filter::ResponseHeaders(_))));
    let weights: Vec<_> = rule.backends.iter().map(|backend| backend.weight).collect();
    assert_eq!(weights, [9, 1, 1]);
    // The grant there is for routes of another kind.
    let target = rule.backends[2].target.as_ref();
    let refused =
        matches!(target, Some(pb::backend::Target::Invalid(why)) if why.contains("GRPCRoute"));
    assert!(refused, "{target:?}");
    for filter in ["RequestMirror", "ExtensionRef", "URLRewrite", "RequestRedirect"] {
        let route = grpc_route(&format!("{{filters: [{{type: {filter}}}]}}"));
        let kind = route.rules[0].filters[0].kind.as_ref();
        let refused = matches!(kind, Some(Filter::Unsupported(why)) if why.contains(filter));
        assert!(refused, "{filter}: {kind:?}");
    }
}

#[test]
fn a_route_that_cannot_be_read_answers_for_its_parents_with_an_error() {
    let (route, groups) = route(STORE, "{matches: 5}").expect("a resource");
    assert!(route.unreadable && groups == ["shop/wp"], "{route:?}");
    let [rule] = route.rules.as_slice() else { panic!("one rule: {route:?}") };
    assert!(rule.matches.is_empty(), "every request: {rule:?}");
    let Some(pb::filter::Kind::Unsupported(why)) = &rule.filters[0].kind else {
        panic!("an error: {rule:?}")
    };
    assert_eq!(why, "the route cannot be read");
    let calls = grpc_route("{matches: 5}");
    assert!(calls.unreadable && calls.rules[0].matches[0].grpc.is_some(), "gRPC alone: {calls:?}");
}
