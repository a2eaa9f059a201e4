//! The table of pauses.

use tonic::{Code, Status};

use super::super::backoff::{Backoff, End};
use super::*;

/// In the middle of the jitter.
const MIDDLE: f64 = 0.5;

fn status(code: Code, message: &str) -> End {
    End::Status(Status::new(code, message))
}

#[test]
fn after_a_healthy_stream_the_end_decides() {
    for (case, end, want) in [
        ("clean end", End::Complete, 0),
        ("unknown", status(Code::Unknown, "x"), 10),
        ("cancelled", status(Code::Cancelled, "x"), 10),
        ("deadline", status(Code::DeadlineExceeded, "x"), 10),
        ("closing", status(Code::Unavailable, "transport is closing"), 10),
        ("goaway", status(Code::Unavailable, "received prior goaway: max age"), 10),
        ("unavailable", status(Code::Unavailable, "not synced"), 20),
        ("refused", status(Code::Unauthenticated, "no"), 20),
        ("silent", End::Silent(Duration::from_secs(1)), 20),
    ] {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.next(&status(Code::Internal, "x"), false, MIDDLE);
        }
        assert_eq!(backoff.next(&end, true, MIDDLE).as_millis(), want, "{case}");
    }
}

#[test]
fn failures_double_the_pause_up_to_its_limit() {
    let mut backoff = Backoff::default();
    let pauses: Vec<u128> =
        (0..12).map(|_| backoff.next(&End::Complete, false, MIDDLE).as_millis()).collect();
    assert_eq!(pauses[..4], [20, 40, 80, 160], "also clean ends, if nothing was answered");
    assert_eq!(pauses[10..], [15_000, 15_000]);
}

#[test]
fn the_pause_varies_by_a_fifth() {
    let pause = |random| Backoff::default().next(&End::Complete, false, random).as_millis();
    assert_eq!((pause(0.0), pause(1.0)), (16, 24));
}
