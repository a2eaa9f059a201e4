use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use kube::client::Body;

use super::*;

const TOKEN: &str = "head.body.signature";

fn status() -> TokenReviewStatus {
    let extra = [("pod-name", "web-1"), ("pod-uid", "u1")];
    let extra = extra.map(|(key, value)| {
        (format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()])
    });
    TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(vec![AUDIENCE.to_owned()]),
        user: Some(UserInfo {
            username: Some("system:serviceaccount:shop:web".to_owned()),
            groups: Some(vec![GROUP.to_owned()]),
            extra: Some(BTreeMap::from(extra)),
            ..UserInfo::default()
        }),
        error: None,
    }
}

fn said(change: impl FnOnce(&mut TokenReviewStatus)) -> Result<Holder, ReviewError> {
    let mut status = status();
    change(&mut status);
    read(TokenReview { status: Some(status), ..TokenReview::default() })
}

#[test]
fn only_a_token_of_a_pod_for_our_audience_is_taken() {
    let holder = said(|_| {}).expect("good");
    assert_eq!(holder.account, Key::new("shop", "web"));
    assert_eq!((holder.pod.as_str(), holder.uid.as_str()), ("web-1", "u1"));
    let user = |change: fn(&mut UserInfo)| said(|s| s.user.iter_mut().for_each(change));
    for (case, found, want) in [
        ("no audience", said(|s| s.audiences = None), ReviewError::Audience),
        (
            "another audience",
            said(|s| s.audiences = Some(vec!["api".into()])),
            ReviewError::Audience,
        ),
        ("a person", user(|u| u.username = Some("jane".into())), ReviewError::NoAccount),
        ("no group", user(|u| u.groups = None), ReviewError::NoAccount),
        ("no pod", user(|u| u.extra = None), ReviewError::NoPod),
    ] {
        assert_eq!(found.expect_err(case), want, "{case}");
    }
    for change in [Some(false), None] {
        let refused = said(|s| s.authenticated = change);
        assert!(matches!(refused, Err(ReviewError::Refused(_))));
    }
}

/// An API server that gives `answer` after a while, and counts how many ask at once and in all.
#[derive(Clone, Default)]
struct Server {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn authenticator(&self) -> Reviewed {
        let server = self.clone();
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let server = server.clone();
            async move {
                server.asked.fetch_add(1, Ordering::SeqCst);
                let now = server.now.fetch_add(1, Ordering::SeqCst) + 1;
                server.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                server.now.fetch_sub(1, Ordering::SeqCst);
                let review = TokenReview { status: Some(status()), ..TokenReview::default() };
                let body = serde_json::to_vec(&review).expect("JSON");
                let answer = http::Response::new(Body::from(body));
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let client = kube::Client::new(service, "default");
        let world = crate::translate::tests::world(PODS);
        let board = Board::default();
        board.set_source(Vec::new(), true);
        Reviewed::new(client, Arc::new(RwLock::new(world)), board, Key::new("ambit", "ztunnel"))
    }
}

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, uid: u1}
spec: {serviceAccountName: web, nodeName: node-a}
";

fn bearing(token: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    metadata
}

#[tokio::test]
async fn a_caller_is_the_pod_of_the_model_and_nobody_without_it() {
    let (server, metadata) = (Server::default(), bearing(TOKEN));
    let authenticator = server.authenticator();
    let caller = authenticator.authenticate(&metadata).await.expect("let in");
    assert_eq!((caller.node.as_str(), caller.service_account.as_str()), ("node-a", "web"));
    assert!(matches!(caller.role, Role::Pod { .. }), "only the account of nodes acts for nodes");

    // The same token, after its pod was replaced by another one of the name.
    let replaced = crate::translate::tests::world(&PODS.replace("u1", "u2"));
    *sync::write(&authenticator.world) = replaced;
    let refused = authenticator.authenticate(&metadata).await.expect_err("gone");
    assert!(matches!(refused, AuthError::PodGone(_)), "{refused}");
    assert_eq!(refused.status().code(), tonic::Code::Unauthenticated);

    let early = Reviewed { board: Board::default(), ..server.authenticator() };
    let refused = early.authenticate(&metadata).await.expect_err("too early");
    assert_eq!(refused.status().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn what_is_no_token_is_not_reviewed() {
    let server = Server::default();
    let authenticator = server.authenticator();
    let long = format!("a.{}.c", "b".repeat(limits::MAX_TOKEN_BYTES));
    for token in ["", "plain", "a.b", "a.b.c.d", &long] {
        assert!(authenticator.authenticate(&bearing(token)).await.is_err(), "{token:.20}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn so_many_tokens_are_under_review_at_once() {
    let server = Server::default();
    let authenticator = Arc::new(server.authenticator());
    let many = (0..3 * limits::MAX_REVIEWS).map(|n| {
        let authenticator = authenticator.clone();
        tokio::spawn(async move { authenticator.authenticate(&bearing(&format!("a.{n}.c"))).await })
    });
    for call in many.collect::<Vec<_>>() {
        call.await.expect("ran").expect("let in");
    }
    assert_eq!(server.most.load(Ordering::SeqCst), limits::MAX_REVIEWS);
}

#[tokio::test]
async fn an_accepted_token_is_remembered_for_a_minute() {
    let server = Server::default();
    let authenticator = server.authenticator();
    for _ in 0..3 {
        authenticator.authenticate(&bearing(TOKEN)).await.expect("let in");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    let (name, now) = (fingerprint(TOKEN), Instant::now());
    assert!(authenticator.remembered(&name, now + REMEMBERED + Duration::from_secs(1)).is_none());

    // A full memory takes no more until something in it is old.
    let holder = said(|_| {}).expect("good");
    for n in 0..limits::MAX_REVIEWED_TOKENS {
        authenticator.remember(fingerprint(&n.to_string()), holder.clone(), now);
    }
    let size = authenticator.known.lock().expect("sound").len();
    assert_eq!(size, limits::MAX_REVIEWED_TOKENS);
    authenticator.remember(name, holder, now + 2 * REMEMBERED);
    let size = authenticator.known.lock().expect("sound").len();
    assert_eq!(size, 1, "the old ones went");
}
