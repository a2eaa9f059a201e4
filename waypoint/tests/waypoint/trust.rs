//! Who may call: the trust domain and its aliases.

use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload::AppProtocol;
use waypoint::config::store::Kind;

use crate::http1::{application, get, policy, raw};
use crate::support::{Mesh1, VIP, gateway};

/// The mesh trusts these domains.
pub(crate) fn trust(mesh: &Mesh1, domains: &[&str]) {
    let trust_domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    let gateway = pb::Gateway { trust_domains, ..gateway() };
    mesh.configure(Kind::Gateway, "Gateway/shop/waypoint", &gateway);
}

#[tokio::test]
async fn an_alias_of_the_trust_domain_may_call_and_has_the_same_principals() {
    let mesh = Mesh1::start().await;
    mesh.service("store", VIP.ip(), AppProtocol::Http11);
    let _seen = application(mesh.pod("store").await.take(), "store");
    assert!(mesh.tunnel("old.example/web", VIP).await.is_err(), "nobody trusts it yet");

    trust(&mesh, &["cluster.local", "old.example"]);
    assert!(mesh.tunnel("stranger.example/web", VIP).await.is_err(), "nobody trusts it");
    // A policy in the words of one name of the trust domain holds for every other.
    let source = pb::Source {
        principals: vec!["old.example/ns/shop/sa/web".to_owned()],
        ..Default::default()
    };
    let rule = pb::PolicyRule { from: vec![source], ..Default::default() };
    let allow = policy(pb::PolicyAction::Allow, rule);
    mesh.configure(Kind::Policy, "AuthorizationPolicy/shop/guard", &allow);
    for (caller, status) in
        [("web", 200), ("old.example/web", 200), ("other", 403), ("old.example/other", 403)]
    {
        let answer = raw(&mesh, caller, &get("/", "Connection: close\r\n"), "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{caller}: {answer}");
    }

    trust(&mesh, &["cluster.local"]);
    assert!(mesh.tunnel("old.example/web", VIP).await.is_err(), "it is trusted no longer");
    let answer = raw(&mesh, "web", &get("/", "Connection: close\r\n"), "").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "the policy names nobody now: {answer}");
}
