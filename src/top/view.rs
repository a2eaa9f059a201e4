//! What is shown, and how keys change it. Pure: the same keys lead to the same picture.

use std::cmp::Ordering;

use clap::ValueEnum;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;

use super::data::{Data, Row};

/// What the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// Nodes
    Nodes,
    /// Namespaces
    Namespaces,
    /// Workloads
    #[default]
    Workloads,
    /// Open connections
    Connections,
}

impl Level {
    /// All, in the order of their keys.
    pub(super) const ALL: [Self; 4] =
        [Self::Nodes, Self::Namespaces, Self::Workloads, Self::Connections];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::Workloads => "workloads",
            Self::Connections => "connections",
        }
    }

    /// Its columns, and the one by which it is sorted at first.
    pub(super) fn columns(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Nodes => (
                &[
                    "NODE", "STATE", "PODS", "PROVEN", "OPEN", "CONN", "BYTES", "FAILED", "CPU",
                    "MEMORY",
                ],
                0,
            ),
            Self::Namespaces => (
                &[
                    "NAMESPACE",
                    "WORKLOADS",
                    "ENROLLED",
                    "IN",
                    "OUT",
                    "REQUESTS",
                    "BYTES",
                    "FAILED",
                    "REFUSED",
                ],
                6,
            ),
            Self::Workloads => (
                &[
                    "NAMESPACE",
                    "WORKLOAD",
                    "ENROLLED",
                    "IN",
                    "OUT",
                    "REQUESTS",
                    "BYTES",
                    "FAILED",
                    "REFUSED",
                    "HEALTH",
                ],
                6,
            ),
            Self::Connections => {
                (&["FROM", "TO", "PORT", "SECURITY", "AGE", "SENT", "RECEIVED", "TOTAL", "NODE"], 5)
            }
        }
    }
}

/// Below what the rows are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Node(String),
    Namespace(String),
    Workload(String),
}

impl Below {
    fn has(&self, row: &Row) -> bool {
        match self {
            Self::Node(name) => row.nodes.contains(name),
            Self::Namespace(name) => row.namespaces.contains(name),
            Self::Workload(name) => row.workloads.contains(name),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Node(name) => format!("node {name}"),
            Self::Namespace(name) => format!("namespace {name}"),
            Self::Workload(name) => format!("workload {name}"),
        }
    }
}

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Go,
    End,
}

/// One level as it is looked at.
#[derive(Clone, Debug)]
struct Frame {
    level: Level,
    below: Vec<Below>,
    sort: usize,
    descending: bool,
    selected: usize,
}

impl Frame {
    fn new(level: Level, below: Vec<Below>) -> Self {
        let (_, sort) = level.columns();
        Self { level, below, sort, descending: sort > 0, selected: 0 }
    }
}

/// All that is not data.
#[derive(Debug)]
pub(super) struct View {
    pub(super) mesh: String,
    pub(super) filter: String,
    /// Keys go into the filter.
    pub(super) typing: bool,
    pub(super) help: bool,
    frames: Vec<Frame>,
    pub(super) table: TableState,
}

impl View {
    pub(super) fn new(level: Level, mesh: String) -> Self {
        Self {
            mesh,
            filter: String::new(),
            typing: false,
            help: false,
            frames: vec![Frame::new(level, Vec::new())],
            table: TableState::default(),
        }
    }

    fn frame(&self) -> &Frame {
        // There is always one: the last is never taken away.
        &self.frames[self.frames.len() - 1]
    }

    fn frame_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    pub(super) fn level(&self) -> Level {
        self.frame().level
    }

    pub(super) fn below(&self) -> &[Below] {
        &self.frame().below
    }

    pub(super) fn sort(&self) -> (usize, bool) {
        (self.frame().sort, self.frame().descending)
    }

    /// The rows that fit, sorted.
    pub(super) fn rows<'a>(&self, data: &'a Data) -> Vec<&'a Row> {
        let frame = self.frame();
        let filter = self.filter.to_lowercase();
        let fits = |row: &&Row| {
            frame.below.iter().all(|below| below.has(row))
                && (filter.is_empty()
                    || row.values.iter().any(|value| value.text.to_lowercase().contains(&filter)))
        };
        let mut rows: Vec<&Row> = data.rows(frame.level).iter().filter(fits).collect();
        rows.sort_by(|a, b| {
            let by = |row: &Row| row.values.get(frame.sort).map(|value| value.order.clone());
            let order = by(a).partial_cmp(&by(b)).unwrap_or(Ordering::Equal);
            let order = if frame.descending { order.reverse() } else { order };
            // Equal ones stay in their places from one look to the next.
            order.then_with(|| {
                let names = |row: &Row| {
                    row.values.iter().take(2).map(|v| v.text.clone()).collect::<Vec<_>>()
                };
                names(a).cmp(&names(b))
            })
        });
        rows
    }

    /// Keeps the selection within what there is.
    pub(super) fn follow(&mut self, data: Option<&Data>) {
        let count = data.map_or(0, |data| self.rows(data).len());
        let frame = self.frame_mut();
        frame.selected = frame.selected.min(count.saturating_sub(1));
        let selected = (count > 0).then_some(frame.selected);
        self.table.select(selected);
    }

    /// Acts on a key.
    pub(super) fn key(&mut self, key: KeyEvent, data: Option<&Data>) -> After {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return After::End;
        }
        if self.typing {
            self.type_filter(key.code);
            return After::Go;
        }
        let columns = self.level().columns().0.len();
        match key.code {
            KeyCode::Char('q') => return After::End,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char(digit @ '1'..='4') => {
                let level = Level::ALL[digit as usize - '1' as usize];
                self.frames = vec![Frame::new(level, Vec::new())];
            }
            KeyCode::Tab => {
                let at = Level::ALL.iter().position(|level| *level == self.level()).unwrap_or(0);
                self.frames = vec![Frame::new(Level::ALL[(at + 1) % Level::ALL.len()], Vec::new())];
            }
            KeyCode::Down | KeyCode::Char('j') => self.frame_mut().selected += 1,
            KeyCode::Up | KeyCode::Char('k') => {
                let frame = self.frame_mut();
                frame.selected = frame.selected.saturating_sub(1);
            }
            KeyCode::PageDown => self.frame_mut().selected += 20,
            KeyCode::PageUp => {
                let frame = self.frame_mut();
                frame.selected = frame.selected.saturating_sub(20);
            }
            KeyCode::Home | KeyCode::Char('g') => self.frame_mut().selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.frame_mut().selected = usize::MAX,
            KeyCode::Char('s') | KeyCode::Right => {
                self.frame_mut().sort = (self.sort().0 + 1) % columns
            }
            KeyCode::Char('S') | KeyCode::Left => {
                self.frame_mut().sort = (self.sort().0 + columns - 1) % columns;
            }
            KeyCode::Char('r') => {
                let frame = self.frame_mut();
                frame.descending = !frame.descending;
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Enter => self.descend(data),
            KeyCode::Esc | KeyCode::Backspace => self.ascend(),
            _ => {}
        }
        self.follow(data);
        After::Go
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if self.filter.chars().count() < 100 && !c.is_control() => {
                self.filter.push(c);
            }
            _ => {}
        }
    }

    /// To what is below the selected row.
    fn descend(&mut self, data: Option<&Data>) {
        let Some(data) = data else { return };
        let frame = self.frame();
        let rows = self.rows(data);
        let Some(row) = rows.get(frame.selected) else { return };
        let (level, below) = match frame.level {
            Level::Nodes => (Level::Workloads, row.nodes.first().cloned().map(Below::Node)),
            Level::Namespaces => {
                (Level::Workloads, row.namespaces.first().cloned().map(Below::Namespace))
            }
            Level::Workloads => {
                (Level::Connections, row.workloads.first().cloned().map(Below::Workload))
            }
            Level::Connections => return,
        };
        let Some(below) = below else { return };
        let below = frame.below.iter().cloned().chain([below]).collect();
        self.filter.clear();
        self.frames.push(Frame::new(level, below));
    }

    /// Back: the help, the filter, then the level above.
    fn ascend(&mut self) {
        if self.help {
            self.help = false;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else if self.frames.len() > 1 {
            self.frames.pop();
        }
    }
}

#[cfg(test)]
mod tests;
