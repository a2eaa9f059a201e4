//! Takes lines from every thread to one that writes them.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// Lines that wait for a slow reader of standard output; further ones are dropped and counted.
const QUEUE: usize = 1024;
/// Longest line, in bytes; the rest is cut off.
const MAX_LINE: usize = 16 << 10;
/// Most bytes of one write, give or take a line.
const BATCH: usize = 64 << 10;
/// Pause between two writes; the first line after a quiet time does not wait. Short, since
/// more than [`QUEUE`] lines in a pause would be dropped.
const GATHER: Duration = Duration::from_millis(1);
/// How long an exiting program waits for its last lines.
const FLUSH: Duration = Duration::from_secs(1);

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// A writer that never waits. One call of `write` is one line.
#[derive(Clone)]
pub struct LineWriter {
    queue: SyncSender<Item>,
    dropped: Counter,
}

impl LineWriter {
    /// To standard output.
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// To `output`, written by a thread of its own.
    pub fn to(output: impl Write + Send + 'static) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("log".to_owned());
        // Without the thread the queue has no reader, and every line counts as dropped.
        let _ = thread.spawn(move || write_all(&lines, output));
        Self { queue, dropped: Counter::default() }
    }

    /// Lines that were dropped because nobody read the output fast enough.
    pub fn dropped(&self) -> &Counter {
        &self.dropped
    }

    pub(super) fn flush_lines(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

/// Writes what waits, in one call; then lets lines gather, so that a busy program pays neither
/// a wake-up nor a system call for each.
fn write_all(lines: &Receiver<Item>, mut output: impl Write) {
    let mut batch = Vec::new();
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Line(line) => batch.extend_from_slice(&line),
                Item::Flush(done) => {
                    write_batch(&mut batch, &mut output);
                    let _ = done.try_send(());
                }
            }
            let room = batch.len() < BATCH;
            next = room.then(|| lines.try_recv().ok()).flatten();
        }
        write_batch(&mut batch, &mut output);
        std::thread::sleep(GATHER);
    }
}

/// An output that fails is not given up: a full disk may have room again.
fn write_batch(batch: &mut Vec<u8>, output: &mut impl Write) {
    let _ = output.write_all(batch).and_then(|()| output.flush());
    batch.clear();
    batch.shrink_to(MAX_LINE);
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut kept = line.get(..MAX_LINE).unwrap_or(line).to_vec();
        if kept.len() < line.len() {
            kept.push(b'\n');
        }
        if self.queue.try_send(Item::Line(kept)).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
