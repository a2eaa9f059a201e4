//! What one open connection costs in tasks: a change that makes them grow must say so here.
//!
//! A bound is the size of the day it was set and a tenth. It holds for this compiler's layout
//! of the development build; the release build's is the same or smaller.

use super::{inbound, outbound, plaintext};

/// The bytes of the future that a function of two arguments returns.
fn of<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn the_task_of_a_connection_has_a_bounded_size() {
    let tasks = [
        ("an outbound connection", of(outbound::serve), 2570),
        ("a connection that carries tunnels to us", of(inbound::serve), 9260),
        ("an inbound tunnel", of(inbound::tunnel), 2940),
        ("an inbound plaintext connection", of(plaintext::serve), 2530),
    ];
    let grown: Vec<_> = tasks.iter().filter(|(_, bytes, bound)| bytes > bound).collect();
    assert!(grown.is_empty(), "task of, bytes, bound: {grown:?}");
}
