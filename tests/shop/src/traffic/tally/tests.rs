use std::time::Duration;

use super::{FAILURES_LIMIT, State, TIMES_LIMIT, VERSIONS_LIMIT};

#[test]
fn a_streak_begins_with_the_first_answer_after_a_failure() {
    let mut state = State::default();
    for (at, good) in [(10, true), (20, true), (30, false), (40, false), (50, true), (60, true)] {
        let result = if good { Ok("v1".to_owned()) } else { Err("reset".to_owned()) };
        state.count(at, result, Duration::from_millis(at));
    }
    let tally = state.read(70);
    assert_eq!((tally.ok, tally.failed), (4, 2));
    assert_eq!((tally.streak, tally.streak_since_ms), (2, 50));
    assert_eq!(tally.failures.last().map(|failure| failure.at_ms), Some(40));
    assert_eq!((tally.p50_us, tally.p99_us), (50_000, 60_000));
}

#[test]
fn an_outage_lasts_from_the_first_request_that_fails_to_the_next_good_answer() {
    let mut state = State::default();
    let second = Duration::from_secs(1);
    let bad = || Err("reset".to_owned());
    state.count(100, Ok(String::new()), Duration::ZERO);
    state.count(1_300, bad(), second);
    state.count(1_400, bad(), Duration::ZERO);
    state.count(1_500, Ok(String::new()), second);
    assert_eq!(state.read(9_000).outage_ms, 1_200, "it began at 300");
    state.count(2_000, bad(), Duration::ZERO);
    state.count(2_100, Ok(String::new()), Duration::ZERO);
    assert_eq!(state.read(9_000).outage_ms, 1_200, "the longest");
    state.count(5_000, bad(), Duration::ZERO);
    assert_eq!(state.read(9_000).outage_ms, 4_000, "one that has not ended");
}

#[test]
fn a_customer_that_stays_for_ever_keeps_no_more_than_its_limits() {
    let mut state = State::default();
    for number in 0..5_000u64 {
        state.count(number, Ok(format!("v{}", number % 50)), Duration::ZERO);
        state.count(number, Err("no".to_owned()), Duration::ZERO);
    }
    assert_eq!(state.times.len(), TIMES_LIMIT);
    assert_eq!(state.failures.len(), FAILURES_LIMIT);
    let tally = state.read(0);
    // The limit and the one that counts all others.
    assert_eq!(tally.versions.len(), VERSIONS_LIMIT + 1);
    assert_eq!(tally.versions.values().sum::<u64>(), 5_000);
}
