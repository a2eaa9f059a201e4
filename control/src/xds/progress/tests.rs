use super::*;

fn at(authorization: u64, address: u64) -> Position {
    Position { authorization, address }
}

#[test]
fn a_position_is_reached_when_every_connected_proxy_has_both_parts_of_it() {
    let progress = Progress::default();
    assert!(progress.reached(at(9, 9)), "nobody is connected");
    let (one, other) = (progress.enter(), progress.enter());
    assert!(progress.reached(at(0, 0)));
    assert!(!progress.reached(at(1, 0)), "both are new");
    one.note(at(3, 5));
    other.note(at(3, 4));
    for (position, want) in
        [(at(3, 4), true), (at(3, 5), false), (at(4, 4), false), (at(2, 3), true)]
    {
        assert_eq!(progress.reached(position), want, "{position:?}");
    }
    drop(other);
    assert!(progress.reached(at(3, 5)), "who is gone is not waited for");
}

#[test]
fn only_news_is_told() {
    let progress = Progress::default();
    let client = progress.enter();
    let mut changes = progress.subscribe();
    client.note(at(1, 1));
    assert!(changes.has_changed().expect("open"));
    changes.mark_unchanged();
    client.note(at(1, 1));
    assert!(!changes.has_changed().expect("open"));
    drop(client);
    assert!(changes.has_changed().expect("open"));
}
