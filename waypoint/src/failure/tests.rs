//! Every failure, with all that is said of it.

use super::*;

fn object(kind: &str, name: &str) -> ObjectName {
    ObjectName { kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);

/// One of each kind.
fn all() -> Vec<Failure> {
    let provider: Arc<str> = "opa".into();
    let tunnel = |error| Failure::Tunnel { address: AT, error: Arc::new(error) };
    let connect = |kind| Failure::Connect { address: AT, kind };
    let service = || NamespacedHostname { namespace: "shop".into(), hostname: "store".into() };
    let refused = std::io::ErrorKind::ConnectionRefused;
    vec![
        Failure::Malformed("a bare CR"),
        Failure::Path(PathError::EncodedSlash),
        Failure::HeaderTooLarge,
        Failure::HeaderTimeout,
        Failure::BodyTooLarge { limit: 9 },
        Failure::BodyTimeout,
        Failure::BodyBroken,
        Failure::Denied { policy: object("AuthorizationPolicy", "no") },
        Failure::NotAllowed,
        Failure::Revoked(Revoked::Denied(object("AuthorizationPolicy", "no"))),
        Failure::Revoked(Revoked::Unasked(object("AuthorizationPolicy", "no"))),
        Failure::Revoked(Revoked::NotAllowed),
        Failure::Revoked(Revoked::Unreadable(object("RequestAuthentication", "no"))),
        Failure::Unauthenticated {
            policy: object("RequestAuthentication", "no"),
            reason: TokenError::Expired,
        },
        Failure::AuthenticationUnreadable { policy: object("RequestAuthentication", "no") },
        Failure::AuthorizerDenied { provider: provider.clone(), status: StatusCode::UNAUTHORIZED },
        Failure::AuthorizerFailed {
            provider: provider.clone(),
            status: StatusCode::FORBIDDEN,
            reason: "no answer".to_owned(),
        },
        Failure::AuthorizerInvalid { provider, reason: ":path".to_owned() },
        Failure::NotReady,
        Failure::Misdirected(NotServed::Elsewhere),
        Failure::NoRoute,
        Failure::Misconfigured { route: object("HTTPRoute", "r"), reason: "no".to_owned() },
        Failure::UnknownService { service: service(), port: 80 },
        Failure::NoEndpoint { service: "shop/store".to_owned(), port: 80 },
        Failure::Unresolved { host: "a.b".to_owned(), why: Unresolved::Timeout },
        Failure::Unresolved { host: "a.b".to_owned(), why: Unresolved::NoSuchName },
        Failure::Overflow { address: AT, limit: 5 },
        tunnel(TunnelError::Connect { peer: AT, source: refused.into() }),
        tunnel(TunnelError::ConnectTimeout { peer: AT, timeout: Duration::from_secs(1) }),
        tunnel(TunnelError::Tls { peer: AT, source: std::io::ErrorKind::InvalidData.into() }),
        connect(refused),
        connect(std::io::ErrorKind::TimedOut),
        Failure::NoCertificate,
        Failure::Broken { address: AT, reason: "reset".to_owned(), unsent: false },
        Failure::Broken { address: AT, reason: "reset".to_owned(), unsent: true },
        Failure::AnswerBroken { address: AT, reason: "reset".to_owned() },
        Failure::BackendTimeout { address: AT, limit: Duration::from_secs(1) },
        Failure::RequestTimeout { limit: Duration::from_secs(1) },
    ]
}

/// Status, hop, fault, flag, details, `Proxy-Status` error, whether another endpoint is tried.
const TOLD: &str = "
400 client      Client   DPE  malformed_request http_request_error -
400 client      Client   DPE  path_not_canonical http_request_error -
431 client      Client   DPE  request_headers_too_large http_request_error -
408 client      Client   DT   request_header_timeout http_request_error -
413 waypoint    Client   DPE  request_payload_too_large http_request_error -
408 client      Client   DT   request_body_timeout http_request_error -
400 client      Client   DC   downstream_body_broken http_request_error -
403 waypoint    Client   -    rbac_access_denied_matched_policy http_request_denied -
403 waypoint    Client   -    rbac_access_denied_matched_policy[none] http_request_denied -
403 waypoint    Client   -    policy_changed http_request_denied -
403 waypoint    Client   -    policy_changed http_request_denied -
403 waypoint    Client   -    policy_changed http_request_denied -
403 waypoint    Client   -    policy_changed http_request_denied -
401 waypoint    Client   UAEX jwt_authn_access_denied{expired} http_request_denied -
403 waypoint    Ours     UAEX jwt_authn_access_denied{unreadable} http_request_denied -
401 authorizer  Client   UAEX ext_authz_denied http_request_denied -
403 authorizer  Ours     UAEX ext_authz_error proxy_internal_error -
500 authorizer  Ours     UAEX ext_authz_invalid proxy_internal_error -
503 waypoint    Ours     NR   waypoint_not_ready proxy_internal_error -
421 waypoint    Ours     NR   misdirected_request destination_not_found -
404 waypoint    Client   NR   route_not_found destination_not_found -
500 waypoint    Ours     NR   route_misconfigured proxy_configuration_error -
500 waypoint    Ours     NC   cluster_not_found destination_not_found -
503 waypoint    Upstream UH   no_healthy_upstream destination_unavailable -
503 waypoint    Upstream DF   dns_resolution_failed dns_timeout -
503 waypoint    Upstream DF   dns_resolution_failed dns_error -
503 waypoint    Ours     UO   upstream_overflow connection_limit_reached again
503 application Upstream UF   upstream_connect_failed connection_refused again
503 application Upstream UF   upstream_connect_failed connection_timeout again
503 application Upstream UF   upstream_connect_failed tls_certificate_error again
503 application Upstream UF   upstream_connect_failed connection_refused again
503 application Upstream UF   upstream_connect_failed connection_timeout again
503 waypoint    Ours     UF   waypoint_has_no_certificate proxy_internal_error -
502 application Upstream UC   upstream_reset_before_response connection_terminated -
502 application Upstream UC   upstream_reset_before_response connection_terminated again
502 application Upstream UC   upstream_reset_after_response_started connection_terminated -
504 application Upstream UT   upstream_per_try_timeout http_response_timeout -
504 waypoint    Upstream UT   upstream_response_timeout http_response_timeout -
";

#[test]
fn every_failure_says_the_same_everywhere() {
    let rows: Vec<&str> = TOLD.trim().lines().collect();
    let failures = all();
    assert_eq!(rows.len(), failures.len());
    for (failure, row) in failures.iter().zip(rows) {
        let told = [
            failure.status().as_u16().to_string(),
            failure.hop().to_string(),
            format!("{:?}", failure.fault()),
            failure.flag().to_owned(),
            failure.reason().to_owned(),
            failure.proxy_status_error().to_owned(),
            if failure.retry_safe() { "again" } else { "-" }.to_owned(),
        ];
        assert_eq!(told.join(" "), row.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn a_client_learns_nothing_of_the_inside_from_a_refusal() {
    for failure in all() {
        let told = failure.for_client();
        let refusal = matches!(failure.proxy_status_error(), "http_request_denied")
            || failure.hop() == Hop::Authorizer;
        for secret in ["no answer", "opa", "shop/no", ":path"] {
            assert!(!(refusal && told.contains(secret)), "{failure}: {told}");
        }
        assert!(!told.is_empty(), "{failure}");
    }
}

#[test]
fn an_endpoint_is_named_where_one_was_reached_for() {
    for failure in all() {
        let reached = failure.hop() == Hop::Application || failure.flag() == "UO";
        assert_eq!(failure.next_hop(), reached.then_some(AT), "{failure}");
    }
}
