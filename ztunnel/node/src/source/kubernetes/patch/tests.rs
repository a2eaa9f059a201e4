use std::time::Duration;

use super::*;

fn report(state: State, reason: &str, older: u64) -> Report {
    let reason = reason.to_owned();
    Report { state, reason, older_connections: older, ..Report::default() }
}

/// A pod as the API server would have it after the patches.
fn pod(annotation: Option<&str>, condition: Option<&Value>) -> ApiPod {
    let mut conditions = vec![json!({"type": "Ready", "status": "True"})];
    conditions.extend(condition.cloned());
    let object = json!({
        "metadata": {"annotations": annotation.map(|text| json!({label::REDIRECTION: text}))},
        "spec": {"containers": []},
        "status": {"conditions": conditions},
    });
    serde_json::from_value(object).expect("a Pod")
}

#[test]
fn a_pod_is_written_when_our_word_on_it_changes_and_only_then() {
    let (uid, now) = (Uid::from("u1"), SystemTime::UNIX_EPOCH + Duration::from_mins(1));
    let none = Written::read(&pod(None, None));
    assert_eq!(of(&uid, &none, &report(State::NotEnrolled, "", 0), now), None);

    let pending = of(&uid, &none, &report(State::Pending, "no proxy", 0), now).expect("news");
    assert_eq!(pending["metadata"]["uid"], "u1");
    assert_eq!(pending["metadata"]["annotations"][label::REDIRECTION], "pending");
    let condition = &pending["status"]["conditions"][0];
    assert_eq!(condition["status"], "False");
    assert_eq!(condition["message"], "no proxy");
    assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:01:00Z");

    let written = Written::read(&pod(Some("pending"), Some(condition)));
    assert_eq!(of(&uid, &written, &report(State::Pending, "no proxy", 0), now), None);
    let reason = of(&uid, &written, &report(State::Pending, "no rules", 0), now).expect("news");
    let transition = &reason["status"]["conditions"][0]["lastTransitionTime"];
    assert!(transition.is_null(), "the status is the same since then");
    let enrolled = of(&uid, &written, &report(State::Enrolled, "", 2), now).expect("news");
    assert_eq!(enrolled["metadata"]["annotations"][label::REDIRECTION], "enabled");
    let message = &enrolled["status"]["conditions"][0]["message"];
    assert_eq!(message, "2 connections are older than the enrolment");
}

#[test]
fn a_pod_that_left_carries_nothing_of_ours() {
    let (uid, now) = (Uid::from("u1"), SystemTime::UNIX_EPOCH);
    let condition = json!({"type": brand::ENROLLED, "status": "True", "reason": "Enrolled"});
    for left in [pod(Some("enabled"), Some(&condition)), pod(Some("enabled"), None)] {
        let left = Written::read(&left);
        let patch = of(&uid, &left, &report(State::NotEnrolled, "", 0), now).expect("news");
        assert!(patch["metadata"]["annotations"][label::REDIRECTION].is_null());
        let deletion = json!([{"$patch": "delete", "type": brand::ENROLLED}]);
        assert_eq!(patch["status"]["conditions"], deletion);
    }
}
