use super::*;

const GRACE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_machine_falls_silent_a_grace_after_its_last_stream() {
    let start = Instant::now();
    let mut presence = Presence::new(GRACE, std::iter::empty(), start);
    assert!(!presence.came("a"));
    assert_eq!(presence.due(), None);
    presence.left("a", start + SECOND);
    assert_eq!(presence.due(), Some(start + SECOND + GRACE));
    assert!(presence.fall_silent(start + GRACE).is_empty(), "not yet");
    assert_eq!(presence.fall_silent(start + SECOND + GRACE), ["a"]);
    assert_eq!(presence.due(), None, "told once");
    assert!(presence.came("a"), "it was silent");
    assert!(!presence.came("a"));
}

#[test]
fn a_stream_that_replaces_another_leaves_no_gap() {
    let start = Instant::now();
    let mut presence = Presence::new(GRACE, std::iter::empty(), start);
    presence.came("a");
    presence.came("a");
    presence.left("a", start);
    assert_eq!(presence.due(), None);
    presence.left("a", start + SECOND);
    assert_eq!(presence.due(), Some(start + SECOND + GRACE));
    presence.left("a", start + GRACE);
    assert_eq!(presence.due(), Some(start + SECOND + GRACE), "one end too many changes nothing");
}

#[test]
fn a_restart_gives_each_machine_its_grace_anew() {
    let start = Instant::now();
    let nodes = ["a", "b"].map(str::to_owned).into_iter();
    let mut presence = Presence::new(GRACE, nodes, start);
    assert!(!presence.came("a"));
    assert!(presence.fall_silent(start + GRACE - SECOND).is_empty());
    assert_eq!(presence.fall_silent(start + GRACE), ["b"]);
}

#[test]
fn a_machine_that_is_forgotten_was_never_silent() {
    let start = Instant::now();
    let nodes = ["a", "b"].map(str::to_owned).into_iter();
    let mut presence = Presence::new(GRACE, nodes, start);
    presence.forget("b");
    assert_eq!(presence.fall_silent(start + GRACE), ["a"]);
    presence.forget("a");
    assert!(!presence.came("a"));
}
