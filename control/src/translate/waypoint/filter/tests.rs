use pb::filter::Kind;

use super::*;

fn read(yaml: &str) -> HttpFilter {
    let value = crate::source::document::parse(yaml).expect("YAML");
    serde_json::from_value(value).expect("a filter")
}

fn kind(yaml: &str) -> Kind {
    filter(&read(yaml)).kind.expect("each filter has a kind")
}

#[test]
fn what_is_served_is_translated_field_by_field() {
    let header = |name: &str, value: &str| pb::Header { name: name.into(), value: value.into() };
    for (yaml, want) in [
        (
            "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: c, value: d}], remove: [e]}}",
            Kind::RequestHeaders(pb::HeaderChange {
                set: vec![header("a", "b")],
                add: vec![header("c", "d")],
                remove: vec!["e".to_owned()],
            }),
        ),
        (
            "{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}",
            Kind::ResponseHeaders(pb::HeaderChange {
                remove: vec!["server".to_owned()],
                ..Default::default()
            }),
        ),
        (
            "{type: RequestRedirect, requestRedirect: {scheme: https, hostname: h, port: 8443, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /x}}}",
            Kind::Redirect(pb::Redirect {
                scheme: "https".to_owned(),
                hostname: "h".to_owned(),
                port: 8443,
                status: 301,
                path: Some(pb::PathChange {
                    kind: Some(pb::path_change::Kind::Full("/x".to_owned())),
                }),
            }),
        ),
        (
            "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /y}}}",
            Kind::Rewrite(pb::Rewrite {
                hostname: String::new(),
                path: Some(pb::PathChange {
                    kind: Some(pb::path_change::Kind::Prefix("/y".to_owned())),
                }),
            }),
        ),
    ] {
        assert_eq!(kind(yaml), want, "{yaml}");
    }
}

#[test]
fn what_is_not_served_says_so_and_is_never_left_out() {
    for (yaml, why) in [
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: x}}}",
            "\"RequestMirror\" is not served",
        ),
        ("{type: ExtensionRef}", "\"ExtensionRef\" is not served"),
        ("{type: URLRewrite}", "has no settings"),
        ("{type: RequestHeaderModifier, responseHeaderModifier: {remove: [a]}}", "has no settings"),
    ] {
        let Kind::Unsupported(found) = kind(yaml) else { panic!("{yaml} is served") };
        assert!(found.contains(why), "{yaml}: {found}");
    }
}
