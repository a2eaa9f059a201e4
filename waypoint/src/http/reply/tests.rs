use std::time::Duration;

use http_body_util::BodyExt;

use super::*;
use crate::config::object::ObjectName;

fn text(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn limit() -> Failure {
    let address = ([10, 1, 0, 5], 8080).into();
    Failure::BackendTimeout { address, limit: Duration::from_millis(300) }
}

#[test]
fn proxy_status_names_proxy_error_hop_and_reason() {
    let policy = ObjectName { kind: "P".into(), namespace: "shop".into(), name: "secret".into() };
    for (failure, want) in [
        (None, "ambit/shop/wp; details=\"answered by a route\""),
        (
            Some(limit()),
            "ambit/shop/wp; error=http_response_timeout; next-hop=\"10.1.0.5:8080\"; \
             hop=application; details=\"no answer from 10.1.0.5:8080 within 300ms\"",
        ),
        (
            Some(Failure::Denied { policy }),
            "ambit/shop/wp; error=http_request_denied; hop=waypoint; details=\"denied by policy\"",
        ),
        (
            // RFC 8941 strings: printable ASCII, quotes and backslashes escaped.
            Some(Failure::NoEndpoint { service: "a\"b\\c\nd\u{e9}".to_owned(), port: 1 }),
            "ambit/shop/wp; error=destination_unavailable; hop=waypoint; \
             details=\"service a\\\"b\\\\cd has no healthy endpoint for port 1\"",
        ),
    ] {
        let got = proxy_status("ambit/shop/wp", failure.as_ref());
        assert_eq!(got.to_str().expect("ASCII"), want);
    }
}

#[tokio::test]
async fn a_failure_is_told_in_text_and_a_grpc_client_in_its_own_way() {
    let plain = Reply::failure(limit()).into_response("ambit", false);
    assert_eq!(plain.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(text(&plain, "content-type").as_deref(), Some("text/plain; charset=utf-8"));
    let body = plain.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, "no answer from 10.1.0.5:8080 within 300ms\n");

    let grpc = Reply::failure(limit()).into_response("ambit", true);
    assert_eq!(grpc.status(), StatusCode::OK);
    assert_eq!(text(&grpc, "content-type").as_deref(), Some("application/grpc"));
    assert_eq!(text(&grpc, "grpc-status").as_deref(), Some("14"));
    assert!(text(&grpc, "grpc-message").is_some_and(|m| m.contains("within 300ms")));
    assert!(text(&grpc, "proxy-status").is_some());
    let body = grpc.into_body().collect().await.expect("a body").to_bytes();
    assert!(body.is_empty(), "trailers only");
}

#[test]
fn an_authorizer_s_failure_has_no_body_of_ours() {
    let provider: std::sync::Arc<str> = "opa".into();
    let failure = Failure::AuthorizerFailed {
        provider,
        status: StatusCode::FORBIDDEN,
        reason: "secret".to_owned(),
    };
    let reply = Reply::failure(failure);
    assert_eq!((reply.status, reply.body.len()), (StatusCode::FORBIDDEN, 0));
}

#[test]
fn http_statuses_become_grpc_s() {
    for (status, want) in [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (408, 2),
        (413, 2),
        (429, 14),
        (431, 13),
        (500, 2),
        (502, 14),
        (503, 14),
        (504, 14),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(grpc_status(status), want, "{status}");
    }
}

#[test]
fn a_grpc_message_is_percent_encoded() {
    assert_eq!(percent("100% of caf\u{e9}\n"), "100%25 of caf%C3%A9%0A");
}
