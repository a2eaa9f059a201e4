use crate::model::dirty::Dirty;
use crate::model::object::Key;
use crate::status::Condition;
use crate::translate::derive;
use crate::translate::tests::world;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {selector: {app: pay}, ports: [{port: 80}]}
---
";

const GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: shop, namespace: bank}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
  to: [{group: '', kind: Service, name: pay}]
---
";

const STORE: &str = "kind: Service, name: store";

fn route(parent: &str, backend: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop}}\nspec: {{parentRefs: [{{{parent}}}], rules: [{{backendRefs: [{{{backend}}}]}}]}}\n---\n"
    )
}

fn conditions(yaml: &str) -> Vec<Condition> {
    let world = world(&(SERVICES.to_owned() + yaml));
    let derived = derive(&world, &Dirty::Route(Key::new("shop", "r")));
    derived.conditions.into_iter().flat_map(|(_, conditions)| conditions).collect()
}

fn of<'a>(conditions: &'a [Condition], kind: &str) -> &'a Condition {
    conditions.iter().find(|c| c.kind == kind).expect("is said")
}

#[test]
fn a_backend_is_resolved_or_the_reason_says_why_not() {
    let wrong_grants = [
        GRANT.replace("namespace: shop}]", "namespace: other}]"),
        GRANT.replace("kind: HTTPRoute", "kind: GRPCRoute"),
        GRANT.replace("kind: Service, name: pay", "kind: Secret"),
        GRANT.replace("name: pay", "name: other"),
        GRANT.replace("namespace: bank", "namespace: elsewhere"),
        // Not understood, and so it may be a narrower one.
        GRANT.replace("name: pay}", "name: pay, port: 81}"),
    ];
    let pay = "name: pay, namespace: bank, port: 80";
    let mut cases = vec![
        ("its own", "name: store, port: 80", String::new(), "ResolvedRefs", ""),
        (
            "missing",
            "name: gone, port: 80",
            String::new(),
            "BackendNotFound",
            "shop/gone is not there",
        ),
        ("without port", "name: store", String::new(), "BackendNotFound", "write one"),
        ("another port", "name: store, port: 81", String::new(), "BackendNotFound", "no port 81"),
        ("another kind", "kind: Bucket, name: b", String::new(), "InvalidKind", "write Service"),
        (
            "another group",
            "group: g.io, kind: Service, name: store, port: 80",
            String::new(),
            "InvalidKind",
            "g.io/Service",
        ),
        ("another namespace", pay, String::new(), "RefNotPermitted", "write a ReferenceGrant"),
        ("granted", pay, GRANT.to_owned(), "ResolvedRefs", ""),
        ("granted to all", pay, GRANT.replace(", name: pay", ""), "ResolvedRefs", ""),
        (
            "granted, missing",
            "name: gone, namespace: bank, port: 80",
            GRANT.replace(", name: pay", ""),
            "BackendNotFound",
            "bank/gone",
        ),
        (
            "missing, not granted",
            "name: gone, namespace: bank, port: 80",
            String::new(),
            "RefNotPermitted",
            "",
        ),
    ];
    cases.extend(wrong_grants.into_iter().map(|g| ("wrong grant", pay, g, "RefNotPermitted", "")));
    for (case, backend, grants, reason, message) in cases {
        let conditions = conditions(&(grants.clone() + &route(STORE, backend)));
        let refs = of(&conditions, "ResolvedRefs");
        assert_eq!(
            (refs.reason.as_str(), refs.status),
            (reason, reason == "ResolvedRefs"),
            "{case}: {grants}"
        );
        assert!(refs.message.contains(message), "{case}: {}", refs.message);
        if !refs.status {
            assert!(
                refs.message.starts_with("spec.rules[0].backendRefs[0]: "),
                "{case}: {}",
                refs.message
            );
        }
        assert!(of(&conditions, "Accepted").status, "{case}: the rest of the route is taken");
    }
}

#[test]
fn a_parent_is_there_or_the_route_is_not_accepted() {
    for (case, parent, message) in [
        ("a service", STORE, None),
        ("missing", "kind: Service, name: gone", Some("spec.parentRefs[0] names shop/gone")),
        ("a Gateway that is missing", "name: gone", Some("spec.parentRefs[0] names shop/gone")),
        ("another kind", "kind: Mesh, name: m", Some("write Service")),
        ("another's service", "kind: Service, name: pay, namespace: bank", None),
        ("another's Gateway", "name: wp, namespace: bank", Some("another namespace")),
    ] {
        let conditions = conditions(&route(parent, "name: store, port: 80"));
        let accepted = of(&conditions, "Accepted");
        assert_eq!(accepted.status, message.is_none(), "{case}: {}", accepted.message);
        assert!(
            accepted.message.contains(message.unwrap_or_default()),
            "{case}: {}",
            accepted.message
        );
    }
}

#[test]
fn a_grant_that_comes_or_goes_makes_its_routes_dirty() {
    use std::collections::BTreeSet;

    use crate::model::dirty::dirtied_by;
    use crate::model::object::{Kind, ObjectRef};

    let yaml = SERVICES.to_owned() + GRANT + &route(STORE, "name: pay, namespace: bank, port: 80");
    let world = world(&yaml);
    for (namespace, want) in [("bank", vec![Dirty::Route(Key::new("shop", "r"))]), ("shop", vec![])]
    {
        let mut dirty = BTreeSet::new();
        dirtied_by(&world, &ObjectRef::new(Kind::ReferenceGrant, namespace, "shop"), &mut dirty);
        assert_eq!(dirty.into_iter().collect::<Vec<_>>(), want, "{namespace}");
    }
}

fn grpc_conditions(rule: &str) -> Vec<Condition> {
    let yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: r, namespace: shop}}\nspec: {{parentRefs: [{{{STORE}}}], rules: [{{{rule}}}]}}\n---\n"
    );
    let world = world(&(SERVICES.to_owned() + &yaml));
    let derived = derive(&world, &Dirty::GrpcRoute(Key::new("shop", "r")));
    derived.conditions.into_iter().flat_map(|(_, conditions)| conditions).collect()
}

#[test]
fn what_is_not_served_is_said() {
    for (rule, want) in [
        ("filters: [{type: RequestMirror}]", "spec.rules[0].filters[0].type is \"RequestMirror\""),
        (
            "backendRefs: [{name: store, port: 80, filters: [{type: ExtensionRef}]}]",
            "spec.rules[0].backendRefs[0].filters[0].type is \"ExtensionRef\"",
        ),
        ("filters: [{type: URLRewrite}]", "write one of RequestHeaderModifier, Response"),
        ("matches: [{method: {type: Prefix, service: x}}]", "matches[0].method.type is \"Prefix\""),
        ("matches: [{}, {method: {}}]", "spec.rules[0].matches[1].method names neither service"),
    ] {
        let conditions = grpc_conditions(rule);
        let accepted = of(&conditions, "Accepted");
        assert_eq!((accepted.status, &*accepted.reason), (false, "UnsupportedValue"), "{rule}");
        assert!(accepted.message.contains(want), "{rule}: {}", accepted.message);
    }
    let good = grpc_conditions(
        "matches: [{method: {service: shop.Store}}], backendRefs: [{name: store, port: 80}]",
    );
    assert!(good.iter().all(|condition| condition.status), "{good:?}");
    for (matching, want) in [
        ("path: {type: Glob, value: /a}", "matches[0].path.type is \"Glob\"; write Exact, Path"),
        ("path: {type: RegularExpression, value: '/('}", "matches[0].path.value is none that"),
        (
            "headers: [{name: a, value: b}, {type: RegularExpression, name: a, value: '['}]",
            "matches[0].headers[1].value is none that",
        ),
        ("queryParams: [{type: Prefix, name: a, value: b}]", "queryParams[0].type is \"Prefix\""),
    ] {
        let matches =
            format!("matches: [{{{matching}}}], backendRefs: [{{name: store, port: 80}}]");
        let yaml = route(STORE, "name: store, port: 80")
            .replace("backendRefs: [{name: store, port: 80}]", &matches);
        let conditions = conditions(&yaml);
        let accepted = of(&conditions, "Accepted");
        assert_eq!((accepted.status, &*accepted.reason), (false, "UnsupportedValue"), "{matching}");
        assert!(accepted.message.contains(want), "{matching}: {}", accepted.message);
    }
    let mirrored = "filters: [{type: RequestMirror}], backendRefs: [{name: store, port: 80}]";
    let yaml = route(STORE, "name: store, port: 80")
        .replace("backendRefs: [{name: store, port: 80}]", mirrored);
    let conditions = conditions(&yaml);
    assert_eq!(of(&conditions, "Accepted").reason, "UnsupportedValue", "an HTTPRoute's too");
}

#[test]
fn a_parent_outside_the_cluster_is_there_or_the_reason_says_what_to_write() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api, namespace: shop}\nspec: {hosts: [a.b], ports: [{number: 80, name: http}], resolution: DNS}\n---\n";
    for (case, parent, status, message) in [
        ("there", "group: networking.istio.io, kind: ServiceEntry, name: api", true, ""),
        (
            "not there",
            "group: networking.istio.io, kind: ServiceEntry, name: gone",
            false,
            "spec.parentRefs[0] names shop/gone, which is not there",
        ),
        (
            "no group",
            "kind: ServiceEntry, name: api",
            false,
            "spec.parentRefs[0].group is \"\"; write networking.istio.io",
        ),
    ] {
        let yaml = entry.to_owned() + &route(parent, "name: store, port: 80");
        let conditions = conditions(&yaml);
        let accepted = of(&conditions, "Accepted");
        assert_eq!((accepted.status, accepted.message.as_str()), (status, message), "{case}");
    }
}
