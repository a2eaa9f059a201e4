use std::net::SocketAddr;

use futures_util::FutureExt;
use hbone::matching::Caller;
use hbone::wire::pb::ambit::waypoint::v1 as pb;
use hbone::wire::pb::istio::workload as wire;
use hbone::xds::Resource;
use http::{HeaderMap, Method, Version};
use prost::Message;

use super::*;
use crate::authorize::Asked;
use crate::config::store::Kind;
use crate::directory::Target;
use crate::http::head::Head;

const VIP: ([u8; 4], u16) = ([10, 96, 0, 7], 80);

/// A waypoint's state with the service `store` behind it.
fn state() -> Arc<State> {
    let state: Arc<State> = Arc::default();
    let waypoint = wire::GatewayAddress {
        destination: Some(wire::gateway_address::Destination::Hostname(wire::NamespacedHostname {
            namespace: "shop".to_owned(),
            hostname: "waypoint".to_owned(),
        })),
        hbone_mtls_port: 15008,
    };
    let service = wire::Service {
        name: "store".to_owned(),
        namespace: "shop".to_owned(),
        hostname: "store".to_owned(),
        addresses: vec![wire::NetworkAddress { address: VIP.0.to_vec(), ..Default::default() }],
        ports: vec![wire::Port { service_port: 80, target_port: 80, ..Default::default() }],
        waypoint: Some(waypoint.clone()),
        ..Default::default()
    };
    let service = wire::Address { r#type: Some(wire::address::Type::Service(service)) };
    assert_eq!(state.address(vec![resource("shop/store", &service)], &[]), []);
    let gateway = pb::Gateway {
        namespace: "shop".to_owned(),
        name: "waypoint".to_owned(),
        addresses: vec![waypoint],
        trust_domains: vec!["cluster.local".to_owned()],
        ..Default::default()
    };
    change(&state, Kind::Gateway, &gateway);
    state
}

fn resource(name: &str, message: &impl Message) -> Resource {
    let bytes = message.encode_to_vec().into();
    Resource { name: name.to_owned(), version: String::new(), bytes }
}

fn change(state: &State, kind: Kind, message: &impl Message) {
    let name = format!("{kind:?}/shop/x");
    assert_eq!(state.configure(kind, vec![resource(&name, message)], &[]), []);
}

fn policy(action: pb::PolicyAction, paths: &[&str]) -> pb::Policy {
    let service = pb::ServiceRef { namespace: "shop".to_owned(), hostname: "store".to_owned() };
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let object = pb::ObjectRef {
        kind: "AuthorizationPolicy".to_owned(),
        namespace: "shop".to_owned(),
        name: "x".to_owned(),
    };
    pb::Policy {
        object: Some(object),
        action: action.into(),
        targets: vec![pb::PolicyTarget { kind: Some(pb::policy_target::Kind::Service(service)) }],
        rules: vec![pb::PolicyRule {
            to: vec![pb::Operation { paths, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn inbound(state: &State) -> Arc<Inbound> {
    let peer: hbone::identity::SpiffeId =
        "spiffe://cluster.local/ns/shop/sa/web".parse().expect("an identity");
    let world = state.world();
    let gateway = world.config.gateway.as_ref().expect("a Gateway");
    let target: Target = world.directory.target(VIP.into(), gateway).expect("the service");
    let client = SocketAddr::from(([10, 1, 0, 5], 1234));
    Arc::new(Inbound {
        caller: Caller::authenticated(peer.clone()),
        peer,
        client,
        source: None,
        target,
        account: Arc::default(),
        series: crate::record::SeriesOfTunnel::default(),
    })
}

/// A download of `/orders` that runs, or a connection without HTTP.
fn standing(state: &Arc<State>, http: bool) -> Standing {
    let head = Head {
        method: Method::GET,
        path: "/orders".to_owned(),
        query: None,
        host: "store".to_owned(),
        port: None,
        headers: HeaderMap::new(),
        version: Version::HTTP_11,
        upgrade: None,
    };
    let generation = state.config().policy_generation;
    let head = Arc::new(head);
    let asked = Asked { head: head.clone(), providers: vec!["asked".into()] };
    let what =
        if http { Permitted::Request { head, asked, bearer: None } } else { Permitted::Bytes };
    Standing::new(state.clone(), inbound(state), what, generation)
}

/// Denies what runs.
pub(crate) type Change = Box<dyn Fn() + Send>;

/// A download that runs, and what forbids it.
pub(crate) fn running() -> (Standing, Change) {
    let state = state();
    let standing = standing(&state, true);
    let deny = move || change(&state, Kind::Policy, &policy(pb::PolicyAction::Deny, &["/orders"]));
    (standing, Box::new(deny))
}

#[test]
fn only_a_change_that_forbids_it_ends_what_runs() {
    use pb::PolicyAction::{Allow, Audit, Custom, Deny};
    for (action, paths, http, bytes) in [
        (Deny, ["/orders"], true, true),
        (Deny, ["/admin"], false, true), // a path of bytes is unknown, and doubt denies
        (Allow, ["/orders"], false, true),
        (Allow, ["/admin"], true, true),
        (Custom, ["/orders"], true, true), // nobody has asked its authorizer
        (Custom, ["/admin"], false, true),
        (Audit, ["/orders"], false, false),
    ] {
        for (is_http, ends) in [(true, http), (false, bytes)] {
            let state = state();
            let mut standing = standing(&state, is_http);
            assert_eq!(standing.revoked().now_or_never(), None, "before");
            change(&state, Kind::Policy, &policy(action, &paths));
            let revoked = standing.revoked().now_or_never();
            assert_eq!(revoked.is_some(), ends, "{action:?} {paths:?} http: {is_http}");
        }
    }
}

#[test]
fn the_policy_is_named() {
    let state = state();
    let mut standing = standing(&state, true);
    change(&state, Kind::Policy, &policy(pb::PolicyAction::Deny, &["/orders"]));
    let revoked = standing.check().expect_err("denied");
    assert_eq!(revoked.to_string(), "policy AuthorizationPolicy/shop/x denies it now");
}

#[test]
fn an_authorizer_that_allowed_it_is_not_asked_again() {
    let state = state();
    let mut standing = standing(&state, true);
    let custom = policy(pb::PolicyAction::Custom, &["/orders"]);
    change(&state, Kind::Policy, &pb::Policy { provider: "asked".to_owned(), ..custom.clone() });
    assert_eq!(standing.check(), Ok(()));
    change(&state, Kind::Policy, &pb::Policy { provider: "another".to_owned(), ..custom });
    let revoked = standing.check().expect_err("that one was never asked").to_string();
    assert!(revoked.starts_with("policy AuthorizationPolicy/shop/x asks an auth"), "{revoked}");
}

#[test]
fn a_trust_domain_that_is_trusted_no_longer_ends_its_callers() {
    let state = state();
    let mut standing = standing(&state, true);
    let gateway = pb::Gateway {
        namespace: "shop".to_owned(),
        name: "waypoint".to_owned(),
        trust_domains: vec!["other".to_owned()],
        ..Default::default()
    };
    change(&state, Kind::Gateway, &gateway);
    assert_eq!(standing.check(), Err(Revoked::NotAllowed));
}

#[test]
fn what_waits_is_woken_by_policies_and_by_nothing_else() {
    let state = state();
    let mut standing = standing(&state, true);
    let (waker, woken) = counting_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(standing.poll_revoked(&mut cx).is_pending());
    change(&state, Kind::Route, &pb::Route::default());
    change(&state, Kind::Provider, &pb::Provider::default());
    assert_eq!(woken.count(), 0, "routes and providers forbid nothing");
    change(&state, Kind::Policy, &policy(pb::PolicyAction::Deny, &["/admin"]));
    assert_eq!(woken.count(), 1);
    assert!(standing.poll_revoked(&mut cx).is_pending(), "another path is denied");
    change(&state, Kind::Policy, &policy(pb::PolicyAction::Deny, &["/orders"]));
    assert_eq!(woken.count(), 2);
    assert!(standing.poll_revoked(&mut cx).is_ready());
}

/// Counts wake-ups.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

fn counting_waker() -> (Waker, Arc<Woken>) {
    let woken: Arc<Woken> = Arc::default();
    (Waker::from(woken.clone()), woken)
}
