use std::sync::Mutex;
use std::task::Waker;

use super::*;

/// Notes each write.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<Vec<u8>>>>);

impl Wire {
    fn pieces(&self) -> Vec<usize> {
        self.0.lock().expect("one thread").iter().map(Vec::len).collect()
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().expect("one thread").push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn write(stream: &mut WriteBehind<Wire>, length: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let bytes = vec![7; length];
    match Pin::new(stream).poll_write(&mut cx, &bytes) {
        Poll::Ready(Ok(n)) => assert_eq!(n, length),
        other => panic!("{other:?}"),
    }
}

fn flush(stream: &mut WriteBehind<Wire>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(Pin::new(stream).poll_flush(&mut cx), Poll::Ready(Ok(()))));
}

/// A connection whose task has its first turn, and that flushed `ago`.
fn stream(ago: Duration) -> (Wire, Turns, WriteBehind<Wire>) {
    let (wire, turns) = (Wire::default(), Turns::default());
    let mut stream = WriteBehind::new(wire.clone(), turns.clone());
    next(&turns);
    stream.flushed = Instant::now().checked_sub(ago).expect("a clock that is not new");
    (wire, turns, stream)
}

fn next(turns: &Turns) {
    turns.0.fetch_add(1, Ordering::Relaxed);
}

/// Longer ago than anything counts as soon, on the slowest machine.
const LONG: Duration = Duration::from_secs(1);

#[test]
fn a_quiet_connection_flushes_at_once() {
    let (wire, _, mut stream) = stream(LONG);
    write(&mut stream, 100);
    flush(&mut stream);
    assert_eq!(wire.pieces(), [100]);
}

#[test]
fn a_busy_connection_gathers_until_its_next_turn() {
    let (wire, turns, mut stream) = stream(Duration::ZERO);
    stream.put_off = Some(turns.now());
    for _ in 0..3 {
        write(&mut stream, 1000);
        flush(&mut stream);
    }
    assert!(wire.pieces().is_empty(), "{:?}", wire.pieces());
    next(&turns);
    flush(&mut stream);
    assert_eq!(wire.pieces(), [3000]);
    assert_eq!(stream.put_off, None);
}

#[test]
fn handshakes_are_never_put_off() {
    let wire = Wire::default();
    let mut stream = WriteBehind::new(wire.clone(), Turns::default());
    for _ in 0..2 {
        write(&mut stream, 10);
        flush(&mut stream);
    }
    assert_eq!(wire.pieces(), [10, 10]);
}

#[test]
fn order_is_kept_and_a_record_is_the_most_that_is_gathered() {
    let (wire, turns, mut stream) = stream(Duration::ZERO);
    stream.put_off = Some(turns.now());
    write(&mut stream, 100);
    write(&mut stream, SMALL + 1);
    assert_eq!(wire.pieces(), [100, SMALL + 1], "a large write passes what was gathered");
    for _ in 0..5 {
        write(&mut stream, SMALL);
    }
    assert_eq!(wire.pieces(), [100, SMALL + 1, GATHERED]);
}

#[test]
fn closing_sends_what_was_put_off() {
    let (wire, turns, mut stream) = stream(Duration::ZERO);
    stream.put_off = Some(turns.now());
    write(&mut stream, 10);
    flush(&mut stream);
    assert!(wire.pieces().is_empty());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(Pin::new(&mut stream).poll_shutdown(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(wire.pieces(), [10]);
}
