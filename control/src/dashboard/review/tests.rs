use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that knows the tokens `good…`, whose holder may get what `allowed` says; it
/// counts questions by kind, and how many there are at once.
#[derive(Clone, Default)]
struct Server {
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    last: Arc<Mutex<Value>>,
    away: bool,
}

const ALLOWED: &str = "/ambit.dev/api/v1/nodes";

impl Server {
    fn reviewer(&self) -> Reviewer {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move {
                let now = server.now.fetch_add(1, Ordering::SeqCst) + 1;
                server.most.fetch_max(now, Ordering::SeqCst);
                let body = request.into_body().collect_bytes().await.expect("a body");
                let question: Value = serde_json::from_slice(&body).expect("JSON");
                tokio::time::sleep(Duration::from_millis(20)).await;
                server.now.fetch_sub(1, Ordering::SeqCst);
                let kind = question["kind"].as_str().expect("a kind").to_owned();
                *server.asked.lock().expect("sound").entry(kind).or_default() += 1;
                *server.last.lock().expect("sound") = question.clone();
                let (status, answer) = server.answer(question);
                let answer = serde_json::to_vec(&answer).expect("JSON");
                let answer = http::Response::builder().status(status).body(Body::from(answer));
                Ok::<_, std::convert::Infallible>(answer.expect("an answer"))
            }
        });
        Reviewer::new(kube::Client::new(service, "default"), vec!["ambit-dashboard".to_owned()])
    }

    fn answer(&self, mut question: Value) -> (u16, Value) {
        if self.away {
            let status = json!({"kind": "Status", "status": "Failure", "code": 403,
                "reason": "Forbidden", "message": "no", "apiVersion": "v1", "metadata": {}});
            return (403, status);
        }
        if question["kind"] == "SubjectAccessReview" {
            let path = &question["spec"]["nonResourceAttributes"]["path"];
            question["status"] = json!({"allowed": path == ALLOWED});
            return (201, question);
        }
        let token = question["spec"]["token"].as_str().expect("a token").to_owned();
        let audience = if token == "good-elsewhere" { "other" } else { "ambit-dashboard" };
        question["status"] = json!({
            "authenticated": token.starts_with("good"),
            "audiences": [audience],
            "user": {"username": "alice", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}},
        });
        if token == "good-nobody" {
            question["status"]["user"] = json!({});
        }
        (201, question)
    }

    fn asked(&self, kind: &str) -> usize {
        self.asked.lock().expect("sound").get(kind).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn the_api_server_says_whose_a_token_is_and_what_he_may_get() {
    let server = Server::default();
    let reviewer = server.reviewer();
    let user = reviewer.may_get("good", "/api/v1/nodes").await.expect("may");
    assert_eq!(name(&user), "alice");
    let spec = server.last.lock().expect("sound")["spec"].clone();
    let wanted = json!({
        "user": "alice", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]},
        "nonResourceAttributes": {"path": ALLOWED, "verb": "get"},
    });
    assert_eq!(spec, wanted, "all that is known of him counts");

    let refused = reviewer.may_get("good", "/api/v1/mesh").await.expect_err("may not");
    let right = "/ambit.dev/api/v1/mesh".to_owned();
    assert_eq!(refused, Refusal::Right { name: "alice".to_owned(), right });
    for token in ["bad", "good-elsewhere", "good-nobody"] {
        let refused = reviewer.user(token).await.expect_err(token);
        assert!(matches!(refused, Refusal::Token { .. }), "{token}: {refused}");
    }
    let long = "g".repeat(limits::MAX_TOKEN_BYTES + 1);
    let asked = server.asked("TokenReview");
    for token in ["", "two words", "g\u{f6}\u{f6}d", &long] {
        assert_eq!(reviewer.user(token).await, Err(Refusal::Malformed), "{token:.20}");
    }
    assert_eq!(server.asked("TokenReview"), asked, "what can be no token is not reviewed");
}

#[tokio::test]
async fn without_an_answer_nobody_is_let_in() {
    let server = Server { away: true, ..Server::default() };
    let refused = server.reviewer().may_get("good", "/api/v1/nodes").await.expect_err("no answer");
    assert!(matches!(&refused, Refusal::Unanswered(why) if why.contains("tokenreviews")));
}

#[tokio::test]
async fn what_was_said_is_remembered_for_a_while() {
    let server = Server::default();
    let reviewer = Arc::new(server.reviewer());
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let reviewer = reviewer.clone();
            tokio::spawn(async move { reviewer.may_get("good", "/api/v1/mesh").await })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("ran").is_err());
    }
    let most = server.asked("TokenReview");
    assert!(most <= 8, "{most}");
    reviewer.may_get("good", "/api/v1/mesh").await.expect_err("may not");
    assert_eq!(server.asked("TokenReview"), most, "a no is remembered too");
    let (id, later) = (fingerprint("good"), Instant::now() + limits::DASHBOARD_MEMORY);
    assert!(reviewer.knows("good") && !reviewer.knows("bad"));
    assert!(reviewer.remembered(&id, later).is_none());
    assert_eq!(reviewer.right(&id, &fingerprint("/ambit.dev/api/v1/mesh"), later), None);
}

#[tokio::test]
async fn so_much_is_remembered_and_no_more() {
    let server = Server::default();
    let reviewer = server.reviewer();
    for n in 0..=limits::MAX_DASHBOARD_RIGHTS {
        let _ = reviewer.may_get("good", &format!("/api/v1/nodes/{n}")).await;
    }
    let rights = reviewer.lock()[&fingerprint("good")].rights.len();
    assert_eq!(rights, limits::MAX_DASHBOARD_RIGHTS);
    reviewer.may_get("good", "/api/v1/nodes").await.expect("asked about each time");

    let (user, now) = (Arc::new(UserInfo::default()), Instant::now());
    for n in 0..limits::MAX_DASHBOARD_TOKENS {
        reviewer.remember(fingerprint(&n.to_string()), user.clone(), now);
    }
    assert_eq!(reviewer.lock().len(), limits::MAX_DASHBOARD_TOKENS);
    reviewer.remember(fingerprint("later"), user, now + 2 * limits::DASHBOARD_MEMORY);
    assert_eq!(reviewer.lock().len(), 1, "the old ones went");
}

#[tokio::test]
async fn so_many_are_asked_about_at_once() {
    let server = Server::default();
    let reviewer = Arc::new(server.reviewer());
    let many = (0..4 * limits::MAX_DASHBOARD_REVIEWS).map(|n| {
        let reviewer = reviewer.clone();
        tokio::spawn(async move { reviewer.user(&format!("good-{n}")).await })
    });
    for call in many.collect::<Vec<_>>() {
        call.await.expect("ran").expect("let in");
    }
    assert_eq!(server.most.load(Ordering::SeqCst), limits::MAX_DASHBOARD_REVIEWS);
}
