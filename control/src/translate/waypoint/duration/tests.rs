use super::*;

#[test]
fn durations_are_read_exactly_or_not_at_all() {
    for (text, want) in [
        ("500ms", Some((0, 500_000_000))),
        ("1s", Some((1, 0))),
        ("0.05s", Some((0, 50_000_000))),
        ("1h30m", Some((5_400, 0))),
        ("10m10s10ms", Some((610, 10_000_000))),
        ("0s", Some((0, 0))),
        ("7us", Some((0, 7_000))),
        ("", None),
        ("5", None),
        ("s", None),
        ("-1s", None),
        ("1 s", None),
        ("1.s", None),
        ("1d", None),
        ("1.0000000001s", None),
        ("99999999999999999h", None),
        ("1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s1s", None),
    ] {
        let want = want.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        assert_eq!(read(text), want, "{text:?}");
    }
}
