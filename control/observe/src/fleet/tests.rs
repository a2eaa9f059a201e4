//! Proxies that answer, that do not, and that say what they may not.

use super::*;
use crate::pb::{Answer, Edge, EdgeKey, Incident, Reply, ToProxy, reply, to_proxy};

fn query() -> Query {
    Query { from_ms: 0, to_ms: 60_000, want: vec!["edges".into()], ..Query::default() }
}

fn origin(node: &str, kind: &str) -> Origin {
    let waypoint = kind == "waypoint";
    Origin {
        node: node.into(),
        kind: kind.into(),
        name: format!("{kind}-{node}"),
        namespace: if waypoint { "shop".into() } else { String::new() },
        gateway: if waypoint { "waypoint".into() } else { String::new() },
        ..Origin::default()
    }
}

/// Answers each question with `answer`.
fn answering(attached: &Arc<Attached>, answer: Answer) {
    let mut questions = attached.to_send().expect("the first time");
    let attached = Arc::clone(attached);
    tokio::spawn(async move {
        while let Some(ToProxy { message: Some(to_proxy::Message::Question(asked)) }) =
            questions.recv().await
        {
            let result = Some(reply::Result::Answer(answer.clone()));
            attached.replied(Reply { id: asked.id, result });
        }
    });
}

fn edge(reporter: &str, waypoint: &str) -> Edge {
    let key =
        EdgeKey { reporter: reporter.into(), waypoint: waypoint.into(), ..EdgeKey::default() };
    Edge { key: Some(key), node: "elsewhere".into(), ..Edge::default() }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_is_named_and_holds_nobody_up() {
    let fleet = Fleet::new(Recorder::default());
    let (good, _one) = fleet.attach(origin("a", "ztunnel")).expect("room");
    answering(&good, Answer { edges: vec![edge("source", "")], ..Answer::default() });
    let (_silent, _two) = fleet.attach(origin("b", "ztunnel")).expect("room");
    let begun = tokio::time::Instant::now();
    let heard = fleet.ask(query()).await.expect("in bounds");
    assert_eq!(begun.elapsed(), PATIENCE);
    let results: Vec<_> =
        heard.iter().map(|h| (h.origin.node.as_str(), h.result.is_ok())).collect();
    assert_eq!(results, [("", true), ("a", true), ("b", false)]);
}

#[tokio::test]
async fn a_node_that_is_asked_for_by_name_is_asked_alone() {
    let fleet = Fleet::new(Recorder::default());
    for node in ["a", "b"] {
        let (attached, attachment) = fleet.attach(origin(node, "ztunnel")).expect("room");
        answering(&attached, Answer::default());
        std::mem::forget(attachment);
    }
    let filter = crate::pb::Filter { node: "b".into(), ..Default::default() };
    let heard = fleet.ask(Query { filter: Some(filter), ..query() }).await.expect("in bounds");
    assert_eq!(heard.iter().map(|h| h.origin.node.as_str()).collect::<Vec<_>>(), ["", "b"]);
}

#[tokio::test]
async fn a_proxy_tells_of_its_own_traffic_only() {
    let fleet = Fleet::new(Recorder::default());
    let (waypoint, _attachment) = fleet.attach(origin("a", "waypoint")).expect("room");
    let edges = vec![
        edge("waypoint", "shop/waypoint"),
        edge("waypoint", "bank/waypoint"),
        edge("destination", ""),
        edge("source", "shop/waypoint"),
        // As of a question that does not ask by which waypoint.
        edge("waypoint", ""),
    ];
    let incident =
        |waypoint: &str| Incident { key: edge("waypoint", waypoint).key, ..Incident::default() };
    let incidents = vec![incident("shop/waypoint"), incident("bank/waypoint"), Incident::default()];
    answering(&waypoint, Answer { edges, incidents, ..Answer::default() });
    let heard = fleet.ask(query()).await.expect("in bounds");
    let answer = heard[1].result.as_ref().expect("an answer");
    assert_eq!((answer.edges.len(), answer.incidents.len()), (2, 1));
    let own = |edge: &Edge| edge.key.as_ref().is_some_and(|key| key.waypoint == "shop/waypoint");
    assert!(answer.edges.iter().all(own));
    assert_eq!((answer.edges[0].node.as_str(), answer.incidents[0].node.as_str()), ("a", "a"));
    assert_eq!(answer.origin.as_ref().map(|origin| origin.kind.as_str()), Some("waypoint"));
}

#[tokio::test]
async fn one_that_comes_back_is_there_once_and_one_that_goes_is_not() {
    let fleet = Fleet::new(Recorder::default());
    let (old, first) = fleet.attach(origin("a", "ztunnel")).expect("room");
    let (new, second) = fleet.attach(origin("a", "ztunnel")).expect("room");
    answering(&new, Answer::default());
    assert_eq!(fleet.ask(query()).await.expect("in bounds").len(), 2);
    drop((old, first));
    assert_eq!(fleet.ask(query()).await.expect("in bounds").len(), 2);
    drop(second);
    assert_eq!(fleet.ask(query()).await.expect("in bounds").len(), 1, "only control itself");
}

#[tokio::test]
async fn late_and_unasked_replies_are_dropped() {
    let fleet = Fleet::new(Recorder::default());
    let (attached, _attachment) = fleet.attach(origin("a", "ztunnel")).expect("room");
    attached.replied(Reply { id: 77, result: None });
    let error = attached.ask(query(), Duration::from_millis(10)).await.expect_err("silent");
    assert!(error.contains("no answer"), "{error}");
    attached.replied(Reply { id: 0, result: None });
}

#[tokio::test]
async fn so_many_proxies_are_asked_and_no_more() {
    let fleet = Fleet::new(Recorder::default());
    let all: Vec<_> = (0..MAX_PROXIES)
        .map(|n| fleet.attach(origin(&format!("node-{n}"), "ztunnel")).expect("room"))
        .collect();
    assert!(fleet.attach(origin("one-more", "ztunnel")).is_err());
    drop(all);
    assert!(fleet.attach(origin("one-more", "ztunnel")).is_ok());
}
