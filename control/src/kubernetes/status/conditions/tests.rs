use super::*;

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[test]
fn the_time_of_a_transition_changes_only_with_the_status() {
    let good = [Condition::new("Accepted", true, "Accepted", "")];
    let bad = [Condition::new("Accepted", false, "Invalid", "write something else")];
    let owned = ["Accepted"];
    let first = merge(&Value::Null, &good, &owned, Some(1), now(100));
    assert_eq!(
        first,
        json!([{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                "lastTransitionTime": "1970-01-01T00:01:40Z", "observedGeneration": 1}])
    );
    assert_eq!(merge(&first, &good, &owned, Some(1), now(200)), first, "nothing differs");
    let later = merge(&first, &good, &owned, Some(2), now(200));
    assert_eq!(later[0]["observedGeneration"], 2);
    assert_eq!(later[0]["lastTransitionTime"], first[0]["lastTransitionTime"]);
    let turned = merge(&first, &bad, &owned, Some(2), now(200));
    assert_eq!(turned[0]["lastTransitionTime"], "1970-01-01T00:03:20Z");
}

#[test]
fn conditions_of_others_stay_where_they_are_and_own_ones_go_when_there_is_nothing_to_say() {
    let found = json!([
        {"type": "Theirs", "status": "True", "extra": 1},
        {"type": "istio.io/WaypointBound", "status": "True"},
        {"type": "AlsoTheirs", "status": "False"},
    ]);
    let owned = ["istio.io/WaypointBound"];
    let none = merge(&found, &[], &owned, None, now(0));
    assert_eq!(none, json!([found[0], found[2]]));
    let ours = [Condition::new("istio.io/WaypointBound", false, "WaypointIsNotReady", "x")];
    let all = merge(&found, &ours, &owned, None, now(0));
    assert_eq!((&all[0], &all[2]), (&found[0], &found[2]));
    assert_eq!(all[1]["reason"], "WaypointIsNotReady");
    assert!(all[1].get("observedGeneration").is_none(), "a kind without generations");
}

#[test]
fn a_message_is_cut_where_the_api_server_would_refuse_it() {
    let long = Condition::new("Accepted", false, "Invalid", "ä".repeat(MAX_MESSAGE));
    let all = merge(&Value::Null, &[long], &["Accepted"], None, now(0));
    assert_eq!(all[0]["message"].as_str().map(str::len), Some(MAX_MESSAGE));
}
