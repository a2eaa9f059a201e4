//! Requests as a browser or a person sends them.

use http::{HeaderMap, Uri};

use super::*;
use crate::recorder::Recorder;

async fn get(target: &str) -> (u16, serde_json::Value) {
    let api = Api::new(Arc::new(Recorder::default()), "1.2.3", "test");
    let uri: Uri = target.parse().expect("a target");
    let asked = Asked { method: Method::GET, uri, headers: HeaderMap::new() };
    let reply = api.answer(&asked).await;
    let hbone::serve::ReplyBody::Full(body) = reply.body else { panic!("a stream") };
    (reply.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn every_page_of_nobody_is_empty_and_has_its_window() {
    let (status, about) = get("/api/v1/about").await;
    assert_eq!(
        (status, &about["scope"], &about["version"]),
        (200, &"node".into(), &"1.2.3".into())
    );
    for page in [
        "answer",
        "mesh",
        "nodes",
        "nodes/a",
        "workloads",
        "workloads/shop/web",
        "waypoints",
        "policies",
        "certificates",
        "incidents",
        "events",
        "connections",
    ] {
        let (status, shown) = get(&format!("/api/v1/{page}?from=600000&to=1200000")).await;
        assert_eq!(status, 200, "{page}: {shown}");
        assert!(shown["fromMs"].as_i64() <= Some(600_000), "{page}: {shown}");
        assert!(shown["missing"].as_array().is_some_and(Vec::is_empty), "{page}: {shown}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    for (query, field) in [
        ("", "from"),
        ("from=1", "to"),
        ("from=a&to=2", "from"),
        ("from=1&to=2&failed=maybe", "failed"),
        ("from=1&to=2&x=%00%0a%3Cscript%3E", "x"),
        ("from=1&to=2&from=1", "from"),
        ("from=1&to=2&want=everything", "want"),
        ("from=1&to=2&by=colour", "group"),
    ] {
        let (status, error) = get(&format!("/api/v1/answer?{query}")).await;
        assert_eq!((status, &error["field"]), (400, &field.into()), "{query}: {error}");
    }
    let many: String = (0..100).map(|n| format!("p{n}=1&")).collect();
    assert_eq!(get(&format!("/api/v1/mesh?{many}")).await.0, 400);
    assert_eq!(get("/api/v1/nothing?from=1&to=2").await.0, 404);
    assert_eq!(get("/api/v1/nodes/?from=1&to=2").await.0, 404);
}

#[test]
fn names_in_paths_are_decoded_once() {
    for (path, want) in [
        ("nodes/a%20b", "nodes/a b"),
        ("nodes/a+b", "nodes/a+b"),
        ("nodes/%2525", "nodes/%25"),
        ("a%26b=c", "a&b=c"),
    ] {
        assert_eq!(parameters::decoded(path), want);
    }
}

#[tokio::test]
async fn a_page_that_is_asked_for_twice_at_once_is_made_once() {
    let remembered = Remembered::default();
    let made = std::sync::atomic::AtomicU32::new(0);
    let make = || async {
        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(Bytes::from_static(b"{}"))
    };
    let (one, two) = tokio::join!(
        remembered.or_make("page".to_owned(), make),
        remembered.or_make("page".to_owned(), make)
    );
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(made.into_inner(), 1);
}

#[tokio::test]
async fn answers_are_kept_up_to_a_number_and_a_size() {
    let remembered = Remembered::default();
    let made = std::sync::atomic::AtomicUsize::new(0);
    let ask = async |question: String, bytes: usize| {
        let make = || async {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Bytes::from(vec![b' '; bytes]))
        };
        remembered.or_make(question, make).await.expect("an answer");
    };
    ask("large".to_owned(), (1 << 20) + 1).await;
    ask("large".to_owned(), (1 << 20) + 1).await;
    assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 2, "it is too large to be kept");
    for n in 0..100 {
        ask(format!("small {n}"), 1).await;
    }
    ask("small 99".to_owned(), 1).await;
    assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 103, "there was no room for it");
}

#[tokio::test]
async fn a_replica_that_does_not_lead_says_so_until_it_does() {
    let fleet = crate::fleet::Fleet::new(Recorder::default());
    let (lead, leading) = tokio::sync::watch::channel(false);
    fleet.answer_while(leading);
    let api = Api::new(Arc::new(fleet), "1.2.3", "test");
    for (leads, status) in [(false, 503), (true, 200), (false, 503)] {
        lead.send_replace(leads);
        let uri = Uri::from_static("/api/v1/about");
        let asked = Asked { method: Method::GET, uri, headers: HeaderMap::new() };
        assert_eq!(api.answer(&asked).await.status.as_u16(), status);
    }
}
