//! What the person in front of the demo sees: 80 columns, colour and a spinner only on a
//! terminal, plain lines elsewhere.

use std::fmt::Display;
use std::io::{IsTerminal as _, Stdout, Write as _, stdout};
use std::time::Duration;

/// Columns of a line.
const WIDTH: usize = 80;
/// Between two pictures of the spinner.
const TURN: Duration = Duration::from_millis(100);
const PICTURES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";
const CLEAR: &str = "\r\x1b[2K";

/// Writes to standard output.
pub(crate) struct Narrator {
    out: Stdout,
    terminal: bool,
    colour: bool,
}

impl Narrator {
    /// One that suits what standard output is.
    pub(crate) fn new() -> Self {
        let out = stdout();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = out.is_terminal() && !dumb;
        Self { out, terminal, colour: terminal && std::env::var_os("NO_COLOR").is_none() }
    }

    fn paint(&self, colour: &str, text: impl Display) -> String {
        if self.colour { format!("{colour}{text}{PLAIN}") } else { text.to_string() }
    }

    /// A reader that went away is no reason to stop.
    fn print(&self, text: impl Display) {
        let mut out = self.out.lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// The first words.
    pub(crate) fn opening(&self) {
        self.print(self.paint(BOLD, "Ambit demo"));
        self.note(
            "Two nodes, a shop of small programs that know nothing of a mesh, and a customer \
             who orders a lamp 20 times a second. Everything lives in network namespaces of \
             its own and is gone when this program ends.",
        );
    }

    /// A scene begins.
    pub(crate) fn scene(&self, number: usize, of: usize, name: &str, title: &str) {
        let head = format!("{number}/{of} {name}");
        self.print(format!("\n{}  {title}", self.paint(BOLD, head)));
    }

    /// Words between the facts.
    pub(crate) fn note(&self, text: &str) {
        for line in wrap(text, WIDTH - 2) {
            self.print(format!("  {line}"));
        }
    }

    /// A fact that was just verified.
    pub(crate) fn fact(&self, text: impl Display) {
        let mark = if self.terminal { "✓" } else { "ok" };
        self.marked(GREEN, mark, &text.to_string());
    }

    fn marked(&self, colour: &str, mark: &str, text: &str) {
        let indent = mark.chars().count() + 3;
        for (number, line) in wrap(text, WIDTH - indent).into_iter().enumerate() {
            if number == 0 {
                self.print(format!("  {} {line}", self.paint(colour, mark)));
            } else {
                self.print(format!("{:indent$}{line}", ""));
            }
        }
    }

    /// Something to look at, as it is; only a line that is too long is broken.
    pub(crate) fn show(&self, lines: impl IntoIterator<Item = impl Display>) {
        for line in lines {
            let line = line.to_string();
            let short = line.chars().count() <= WIDTH - 5;
            for part in if short { vec![line] } else { wrap(&line, WIDTH - 5) } {
                self.print(self.paint(DIM, format!("     {part}")));
            }
        }
    }

    /// A command to type or a file to open, as it is.
    pub(crate) fn command(&self, text: impl Display) {
        self.print(format!("    {}", self.paint(BOLD, text)));
    }

    /// A scene could not be verified.
    pub(crate) fn failed(&self, error: &anyhow::Error) {
        let mark = if self.terminal { "✗" } else { "FAILED" };
        let text = format!("{error:#}");
        let mut lines = text.lines();
        self.marked(RED, mark, lines.next().unwrap_or_default());
        self.show(lines);
    }

    /// The last words, when all is well.
    pub(crate) fn closing(&self, scenes: usize, seconds: f64) {
        let text = format!("All {scenes} scenes verified in {seconds:.1} s.");
        self.print(format!("\n{}", self.paint(BOLD, text)));
    }

    /// Somebody pressed Ctrl-C.
    pub(crate) fn interrupted(&self) {
        self.print("\nInterrupted; everything is taken down.");
    }

    /// Waits for `work`; a terminal sees that something is going on.
    pub(crate) async fn wait<T>(&self, doing: &str, work: impl Future<Output = T>) -> T {
        if !self.terminal {
            return work.await;
        }
        tokio::pin!(work);
        let mut turn = tokio::time::interval(TURN);
        let mut pictures = PICTURES.iter().cycle();
        loop {
            tokio::select! {
                done = &mut work => {
                    self.draw(CLEAR);
                    return done;
                }
                _ = turn.tick() => {
                    let picture = pictures.next().unwrap_or(&"");
                    self.draw(&format!("{CLEAR}  {} {doing}", self.paint(DIM, picture)));
                }
            }
        }
    }

    fn draw(&self, text: &str) {
        let mut out = self.out.lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Breaks a text between words; a word that is too long has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let room = lines.last().map_or(0, |line| line.chars().count());
        if room > 0 && room + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests;
