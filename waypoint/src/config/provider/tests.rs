use super::*;

fn good() -> pb::Provider {
    pb::Provider {
        object: Some(pb::ObjectRef { name: "opa".to_owned(), ..Default::default() }),
        service: Some(pb::ServiceRef { namespace: "shop".to_owned(), hostname: "opa".to_owned() }),
        port: 9191,
        ..Default::default()
    }
}

#[test]
fn what_is_not_said_fails_closed_and_soon() {
    let provider = Provider::compile(&good());
    assert_eq!(&**provider.name(), "opa");
    let call = provider.call.expect("usable");
    assert_eq!((call.service.to_string().as_str(), call.port), ("shop/opa", 9191));
    assert_eq!(call.timeout, Duration::from_millis(50));
    assert!(!call.fail_open && call.body.is_none());
    assert_eq!(call.status_on_error, StatusCode::FORBIDDEN);
}

#[test]
fn what_cannot_be_used_says_why() {
    for (case, wire, want) in [
        (
            "control says so",
            pb::Provider { invalid: "no such service".to_owned(), ..good() },
            "no such service",
        ),
        ("no service", pb::Provider { service: None, ..good() }, "the provider names no service"),
        ("no port", pb::Provider { port: 0, ..good() }, "0 is no port"),
        ("a large port", pb::Provider { port: 70_000, ..good() }, "70000 is no port"),
        (
            "a good status",
            pb::Provider { status_on_error: 200, ..good() },
            "statusOnError 200 is no error status",
        ),
        ("no status", pb::Provider { status_on_error: 9999, ..good() }, "statusOnError 9999"),
        (
            "a long body",
            pb::Provider { max_request_bytes: MAX_BODY + 1, ..good() },
            "maxRequestBytes 4194305 is above 4194304",
        ),
    ] {
        let error = Provider::compile(&wire).call.expect_err(case);
        assert!(error.contains(want), "{case}: {error}");
    }
}

#[test]
fn what_is_said_counts() {
    let wire = pb::Provider {
        timeout: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        fail_open: true,
        status_on_error: 503,
        max_request_bytes: MAX_BODY,
        allow_partial_message: true,
        ..good()
    };
    let call = Provider::compile(&wire).call.expect("usable");
    assert_eq!(call.timeout, Duration::from_millis(1500));
    assert!(call.fail_open);
    assert_eq!(call.status_on_error, StatusCode::SERVICE_UNAVAILABLE);
    let body = call.body.expect("a body");
    assert_eq!((body.max, body.allow_partial, body.as_bytes), (4 * 1024 * 1024, true, false));
}
