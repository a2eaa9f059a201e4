use std::time::Duration;

use tokio::time::timeout;

use super::*;

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn unheard(_: Limit) {}

#[tokio::test]
async fn a_client_that_stalls_keeps_nobody_else_out() {
    let handshakes = Handshakes::new(4, 2);
    let first = handshakes.turn(ip(1), unheard).await.expect("a turn");
    let _second = handshakes.turn(ip(1), unheard).await.expect("a turn");
    let reached = std::cell::Cell::new(None);
    let hear = |limit| reached.set(Some(limit));
    let error = handshakes.turn(ip(1), hear).await.expect_err("over its share").to_string();
    assert!(error.contains("192.0.2.1") && error.contains("AMBIT_SOURCE_MAX_HANDSHAKES"));
    assert_eq!(reached.get(), Some(Limit::SourceHandshakes));
    let _other = handshakes.turn(ip(2), unheard).await.expect("another client");
    drop(first);
    handshakes.turn(ip(1), unheard).await.expect("its share is free again");
    assert_eq!(handshakes.lock().get(&ip(1)), Some(&1));
}

#[tokio::test]
async fn beyond_the_pods_limit_they_wait_and_nothing_is_kept_of_those_that_give_up() {
    let handshakes = Handshakes::new(1, 1);
    let turn = handshakes.turn(ip(1), unheard).await.expect("a turn");
    let reached = std::cell::Cell::new(None);
    let turn_of_two = handshakes.turn(ip(2), |limit| reached.set(Some(limit)));
    let waited = timeout(Duration::from_millis(50), turn_of_two).await;
    assert!(waited.is_err(), "it waits");
    assert_eq!(reached.get(), Some(Limit::PodHandshakes));
    assert_eq!(handshakes.lock().len(), 1, "the one that gave up is forgotten");
    drop(turn);
    handshakes.turn(ip(2), unheard).await.expect("a turn");
    assert!(handshakes.lock().is_empty());
}
