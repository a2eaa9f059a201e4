//! Tokens of users through the waypoint: who issued them decides who asks.

use std::time::{SystemTime, UNIX_EPOCH};

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use waypoint::config::store::Kind;

use self::issuer::{ISSUER, Issuer, authentication, rule};
use crate::http1::{SOON, application, deny, get, policy, raw};
use crate::support::{Mesh1, VIP};
use crate::telemetry::value;

#[allow(dead_code, reason = "unit tests need more of it")]
#[path = "../../src/stage/jwt/tests/issuer.rs"]
mod issuer;

const JWT: &str = "RequestAuthentication/shop/jwt";
const GUARD: &str = "AuthorizationPolicy/shop/guard";

fn claims(more: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut claims = json!({"iss": ISSUER, "sub": "ann", "exp": now + 300, "team": "books"});
    let map = claims.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    claims
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\nConnection: close\r\n")
}

/// A waypoint that trusts one issuer for the service `store`.
async fn guarded(issuer: &Issuer) -> Mesh1 {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let claim = pb::ClaimHeader { header: "x-team".to_owned(), claim: "team".to_owned() };
    let rule = pb::TokenRule { claim_headers: vec![claim], ..rule(vec![issuer.public("one")]) };
    let object = authentication("jwt", "store.shop.svc.cluster.local", vec![rule]);
    mesh.configure(Kind::Authentication, JWT, &object);
    mesh
}

/// ALLOW of what a source and a condition say.
fn allow(principals: &[&str], team: &[&str]) -> pb::Policy {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let source = pb::Source { request_principals: texts(principals), ..Default::default() };
    let condition = pb::Condition {
        key: "request.auth.claims[team]".to_owned(),
        values: texts(team),
        ..Default::default()
    };
    let when = if team.is_empty() { Vec::new() } else { vec![condition] };
    policy(
        pb::PolicyAction::Allow,
        pb::PolicyRule { from: vec![source], when, ..Default::default() },
    )
}

#[tokio::test]
async fn a_token_decides_and_its_claims_reach_the_application() {
    let issuer = Issuer::new(Algorithm::ES256);
    let mesh = guarded(&issuer).await;
    let mut seen = application(mesh.pod("store").await.take(), "store");
    let good = issuer.token(&claims(&json!({})));

    // Without a token the request passes, but not with what only a token says.
    let forged = "x-team: admins\r\nConnection: close\r\n";
    let answer = raw(&mesh, "web", &get("/", forged), "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = seen.recv().await.expect("a request");
    assert!(!head.contains("x-team"), "{head}");

    let answer = raw(&mesh, "web", &get("/", &(bearer(&good) + forged)), "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = seen.recv().await.expect("a request");
    assert!(head.contains("x-team: books\r\n") && !head.contains("admins"), "{head}");
    assert!(!head.contains("authorization"), "the token stays here: {head}");

    let expired = issuer.token(&claims(&json!({"exp": 1})));
    let answer = raw(&mesh, "web", &get("/", &bearer(&expired)), "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    for want in [
        "www-authenticate: Bearer error=\"invalid_token\", error_description=\"the token has expired\"\r\n",
        "proxy-status: ambit/shop/waypoint; error=http_request_denied; hop=waypoint; details=\"the token has expired\"\r\n",
        "\r\n\r\nthe token has expired\n",
    ] {
        assert!(answer.contains(want), "{want}: {answer}");
    }
    assert!(seen.try_recv().is_err(), "nothing else reached the application");
    for (result, want) in [("accepted", 1.0), ("expired", 1.0)] {
        let labels = ["policy=\"shop/jwt\"", &format!("result=\"{result}\"")];
        assert_eq!(value(&mesh, "ambit_waypoint_tokens_total", &labels), Some(want), "{result}");
    }
    let refused = ["response_code=\"401\"", "response_flags=\"UAEX\""];
    assert_eq!(value(&mesh, "istio_requests_total", &refused), Some(1.0));
}

#[tokio::test]
async fn policies_name_who_asks() {
    let issuer = Issuer::new(Algorithm::RS256);
    let mesh = guarded(&issuer).await;
    let _seen = application(mesh.pod("store").await.take(), "store");
    let ann = bearer(&issuer.token(&claims(&json!({}))));
    let bob = bearer(&issuer.token(&claims(&json!({"sub": "bob", "team": "cars"}))));
    let nobody = "Connection: close\r\n".to_owned();
    let anyone_else = policy(
        pb::PolicyAction::Deny,
        pb::PolicyRule {
            from: vec![pb::Source {
                not_request_principals: vec![format!("{ISSUER}/ann")],
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    for (case, policy, [of_ann, of_bob, of_nobody]) in [
        ("any token", allow(&["*"], &[]), [200, 200, 403]),
        ("one subject", allow(&["https://issuer.example/ann"], &[]), [200, 403, 403]),
        ("a claim", allow(&["*"], &["cars"]), [403, 200, 403]),
        ("all others denied", anyone_else, [200, 403, 403]),
    ] {
        mesh.configure(Kind::Policy, GUARD, &policy);
        for (who, fields, want) in
            [("ann", &ann, of_ann), ("bob", &bob, of_bob), ("nobody", &nobody, of_nobody)]
        {
            let answer = raw(&mesh, "web", &get("/", fields), "").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {want} ")), "{case}, {who}: {answer}");
        }
    }
    // A token that is not accepted is refused before any policy.
    let forged = bearer(&Issuer::new(Algorithm::RS256).token(&claims(&json!({}))));
    mesh.configure(Kind::Policy, GUARD, &deny("/"));
    let answer = raw(&mesh, "web", &get("/", &forged), "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

/// A redirect for who is of the team `admins`, by the field that the token's claim is in.
fn route_of_admins() -> pb::Route {
    let service = || pb::ServiceRef {
        namespace: "shop".to_owned(),
        hostname: "store.shop.svc.cluster.local".to_owned(),
    };
    let admins = pb::ValueMatch {
        name: "x-team".to_owned(),
        kind: Some(pb::value_match::Kind::Exact("admins".to_owned())),
    };
    let redirect = pb::Redirect { hostname: "admin.example".to_owned(), ..Default::default() };
    let redirect = pb::Filter { kind: Some(pb::filter::Kind::Redirect(redirect)) };
    let backend = pb::Backend {
        weight: 1,
        target: Some(pb::backend::Target::Service(service())),
        port: 80,
        filters: Vec::new(),
    };
    pb::Route {
        parents: vec![pb::Parent {
            target: Some(pb::parent::Target::Service(service())),
            port: 80,
            ..Default::default()
        }],
        rules: vec![
            pb::RouteRule {
                matches: vec![pb::RouteMatch { headers: vec![admins], ..Default::default() }],
                filters: vec![redirect],
                ..Default::default()
            },
            pb::RouteRule { backends: vec![backend], ..Default::default() },
        ],
        ..Default::default()
    }
}

#[tokio::test]
async fn neither_routes_nor_policies_believe_what_only_a_token_may_say() {
    let issuer = Issuer::new(Algorithm::ES256);
    let mesh = guarded(&issuer).await;
    let _seen = application(mesh.pod("store").await.take(), "store");
    mesh.configure(Kind::Route, "HTTPRoute/shop/admins", &route_of_admins());
    let condition = pb::Condition {
        key: "request.headers[x-team]".to_owned(),
        values: vec!["admins".to_owned()],
        ..Default::default()
    };
    let rule = pb::PolicyRule { when: vec![condition], ..Default::default() };
    mesh.configure(Kind::Policy, GUARD, &policy(pb::PolicyAction::Deny, rule));
    let forged = "x-team: admins\r\nConnection: close\r\n";
    let answer = raw(&mesh, "web", &get("/", forged), "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "neither redirected nor denied: {answer}");
    let admin = bearer(&issuer.token(&claims(&json!({"team": "admins"}))));
    let answer = raw(&mesh, "web", &get("/", &admin), "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "policies see the claim: {answer}");
    // Once nothing says that the field is ours, it is the client's.
    mesh.state.configure(Kind::Authentication, Vec::new(), &[JWT.to_owned()]);
    let answer = raw(&mesh, "web", &get("/", forged), "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn an_object_that_is_not_understood_refuses_its_whole_target() {
    let issuer = Issuer::new(Algorithm::ES256);
    let mesh = guarded(&issuer).await;
    let mut seen = application(mesh.pod("store").await.take(), "store");
    let hostname = "store.shop.svc.cluster.local";
    let unreadable = pb::Authentication {
        unreadable: "spec.jwtRules[0].fromFoo".to_owned(),
        ..authentication("jwt", hostname, vec![rule(vec![issuer.public("one")])])
    };
    mesh.configure(Kind::Authentication, JWT, &unreadable);
    let good = bearer(&issuer.token(&claims(&json!({}))));
    for fields in [&good, "Connection: close\r\n"] {
        let answer = raw(&mesh, "web", &get("/", fields), "").await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("fromFoo"), "{answer}");
    }
    // A connection that carries no HTTP too.
    mesh.service("store", VIP.ip(), AppProtocol::Unknown);
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(b"\x16\x03\x01 no HTTP").await.expect("sent");
    let mut rest = Vec::new();
    let _ = timeout(SOON, tunnel.read_to_end(&mut rest)).await.expect("an end");
    assert!(rest.is_empty());
    assert!(seen.try_recv().is_err(), "nothing reached the application");
}

/// An application that never finishes its answer.
fn drips(listener: TcpListener) {
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = [0; 4096];
                let _ = tcp.read(&mut read).await;
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = tcp.write_all(head.as_bytes()).await;
                while tcp.write_all(b"4\r\ndrip\r\n").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn what_a_token_opened_ends_when_its_issuer_is_trusted_no_longer() {
    let issuer = Issuer::new(Algorithm::ES256);
    let mesh = guarded(&issuer).await;
    drips(mesh.pod("store").await.take());
    mesh.configure(Kind::Policy, GUARD, &allow(&["*"], &[]));
    let fields = format!("Authorization: Bearer {}\r\n", issuer.token(&claims(&json!({}))));
    let mut tunnel = mesh.tunnel("web", VIP).await.expect("a tunnel");
    tunnel.write_all(get("/film", &fields).as_bytes()).await.expect("sent");
    let mut piece = [0; 1024];
    let mut goes_on = async || timeout(SOON, tunnel.read(&mut piece)).await.expect("in time");
    for _ in 0..5 {
        assert!(goes_on().await.is_ok_and(|n| n > 0), "the film runs");
    }
    // Another key of the same issuer: who was let in stays.
    let rotated = rule(vec![Issuer::new(Algorithm::ES256).public("two")]);
    let hostname = "store.shop.svc.cluster.local";
    mesh.configure(Kind::Authentication, JWT, &authentication("jwt", hostname, vec![rotated]));
    for _ in 0..20 {
        assert!(goes_on().await.is_ok_and(|n| n > 0), "the film runs on");
    }
    let other = pb::TokenRule {
        issuer: "https://other.example".to_owned(),
        ..rule(vec![issuer.public("one")])
    };
    mesh.configure(Kind::Authentication, JWT, &authentication("jwt", hostname, vec![other]));
    let mut ended = false;
    for _ in 0..1000 {
        if !goes_on().await.is_ok_and(|n| n > 0) {
            ended = true;
            break;
        }
    }
    assert!(ended, "the film goes on");
}
