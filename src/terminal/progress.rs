//! A sign of life on stderr for what takes longer than a second; on terminals only.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use super::{clean, style};

/// Nobody is told of what is shorter.
const AFTER: Duration = Duration::from_secs(1);
/// Between two pictures.
const TICK: Duration = Duration::from_millis(120);
const PICTURES: [&str; 4] = ["|", "/", "-", "\\"];
/// Columns of the bar.
const BAR: usize = 20;

/// How far something is, where that can be said.
#[derive(Debug, Default)]
pub(crate) struct Count {
    done: Cell<usize>,
    all: Cell<usize>,
}

impl Count {
    /// There is more to do.
    pub(crate) fn expect(&self, more: usize) {
        self.all.set(self.all.get() + more);
    }

    /// One is done.
    pub(crate) fn step(&self) {
        self.done.set(self.done.get() + 1);
    }

    fn bar(&self) -> String {
        let (done, all) = (self.done.get(), self.all.get());
        if all == 0 {
            return String::new();
        }
        let full = (BAR * done / all).min(BAR);
        format!(" [{}{}] {done}/{all}", "#".repeat(full), ".".repeat(BAR - full))
    }
}

/// Waits for `work`, and shows `what` meanwhile.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    counted(what, &Count::default(), work).await
}

/// The same, with a bar of `count`.
pub(crate) async fn counted<T>(what: &str, count: &Count, work: impl Future<Output = T>) -> T {
    if !style::stderr_is_alive() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(AFTER, &mut work).await {
        return done;
    }
    let mut picture = 0;
    loop {
        let line = format!("\r\u{1b}[K{} {}{}", PICTURES[picture], clean(what), count.bar());
        let _ = std::io::stderr().write_all(line.as_bytes());
        picture = (picture + 1) % PICTURES.len();
        if let Ok(done) = tokio::time::timeout(TICK, &mut work).await {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_it_is() {
        let count = Count::default();
        assert_eq!(count.bar(), "");
        count.expect(4);
        count.step();
        assert_eq!(count.bar(), " [#####...............] 1/4");
        (0..9).for_each(|_| count.step());
        assert_eq!(count.bar(), " [####################] 10/4");
    }
}
