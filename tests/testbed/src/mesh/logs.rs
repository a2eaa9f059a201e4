//! What the programs of a mesh log: JSON lines in files, waited for by message and fields.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{MeshError, PATIENCE};
use crate::process::{Process, tail};
use crate::wait::eventually;

/// How much of a log a message shows.
const TAIL: usize = 6 * 1024;

/// The log files of one program, a pair for each of its starts.
#[derive(Debug, Clone, Default)]
pub struct LogFiles {
    files: Arc<Mutex<Vec<(PathBuf, PathBuf)>>>,
}

/// A place in a log, see [`LogQuery::since`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    file: usize,
    byte: u64,
}

impl LogFiles {
    /// Goes on with the output of a process.
    pub(crate) fn follow(&self, process: &Process) {
        let files = (process.stdout_path().to_owned(), process.stderr_path().to_owned());
        self.lock().push(files);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(PathBuf, PathBuf)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the log, and of what was complained about outside it.
    pub(crate) fn tail(&self, name: &str) -> String {
        let files = self.lock();
        let Some((out, err)) = files.last() else { return format!("{name} was not started") };
        let (out, err) = (tail(out, TAIL), tail(err, TAIL));
        format!("--- {name} logged last:\n{out}\n{err}")
    }

    /// Where the log ends now.
    pub(crate) fn mark(&self) -> Mark {
        let files = self.lock();
        let last = files.len().saturating_sub(1);
        let byte = files.last().and_then(|(out, _)| out.metadata().ok()).map_or(0, |m| m.len());
        Mark { file: last, byte }
    }

    /// Complete lines after `from`, which moves on.
    fn read(&self, from: &mut Mark) -> Vec<Value> {
        let files: Vec<PathBuf> = self.lock().iter().map(|(out, _)| out.clone()).collect();
        let mut found = Vec::new();
        while let Some(path) = files.get(from.file) {
            let text = read_from(path, from.byte).unwrap_or_default();
            let complete = text.rfind('\n').map_or(0, |end| end + 1);
            from.byte += complete as u64;
            let lines = text.get(..complete).unwrap_or_default().lines();
            found.extend(lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()));
            if from.file + 1 == files.len() {
                break;
            }
            *from = Mark { file: from.file + 1, byte: 0 };
        }
        found
    }

    /// A question about lines with this message.
    pub(crate) fn query(&self, program: &str, message: &str) -> LogQuery {
        LogQuery {
            files: self.clone(),
            program: program.to_owned(),
            message: message.to_owned(),
            fields: Vec::new(),
            from: Mark::default(),
            limit: PATIENCE,
        }
    }
}

fn read_from(path: &Path, byte: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(byte))?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Lines of a log by message and fields. Awaiting it gives the first, now or within 30 s.
#[derive(Debug, Clone)]
#[must_use = "await it, or ask for all that are there"]
pub struct LogQuery {
    files: LogFiles,
    program: String,
    message: String,
    fields: Vec<(String, String)>,
    from: Mark,
    limit: Duration,
}

impl LogQuery {
    /// Whose field has this value. Numbers are written as in JSON.
    pub fn with(mut self, field: &str, value: impl Display) -> Self {
        self.fields.push((field.to_owned(), value.to_string()));
        self
    }

    /// Only lines after a mark.
    pub fn since(mut self, mark: Mark) -> Self {
        self.from = mark;
        self
    }

    /// Within another time than 30 s.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// All lines that are there now.
    pub fn all(&self) -> Vec<Value> {
        let mut from = self.from;
        let mut lines = self.files.read(&mut from);
        lines.retain(|line| self.fits(line));
        lines
    }

    fn fits(&self, line: &Value) -> bool {
        let is = |field: &str, wanted: &str| match line.get(field) {
            Some(Value::String(text)) => text == wanted,
            Some(other) => format!("{other}") == wanted,
            None => false,
        };
        is("message", &self.message) && self.fields.iter().all(|(field, value)| is(field, value))
    }

    async fn first(self) -> Result<Value, MeshError> {
        let fields: Vec<String> = self.fields.iter().map(|(f, v)| format!("{f}={v}")).collect();
        let what = format!("{} logs {:?} with {}", self.program, self.message, fields.join(", "));
        let (mut from, mut first) = (self.from, None);
        let waited = eventually(what, self.limit, async || {
            first = self.files.read(&mut from).into_iter().find(|line| self.fits(line));
            first.is_some()
        });
        let Err(late) = waited.await else { return Ok(first.unwrap_or_default()) };
        Err(MeshError::Late { late, logs: self.files.tail(&self.program) })
    }
}

impl IntoFuture for LogQuery {
    type Output = Result<Value, MeshError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.first())
    }
}
