use super::*;

#[test]
fn a_reason_without_end_is_cut() {
    let reason = "\u{e9}".repeat(limits::MAX_REASON + 1);
    let report = read(&PodReport { reason, ..PodReport::default() });
    assert_eq!(report.reason.chars().count(), limits::MAX_REASON);
}
