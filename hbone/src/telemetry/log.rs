//! Log set-up (docs/wire.md, "Telemetry").
//!
//! Lines go to standard output through a bounded queue and a thread of its own, so that a
//! reader which stalls costs lines and never traffic.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use crate::brand::METRIC_PREFIX;

mod escape;
mod json;
mod level;
mod plain;
mod writer;

pub use level::{Levels, LevelsError};
pub use writer::LineWriter;

/// The shape of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Columns separated by tabs.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LevelsError;

    /// Reads `LOG_FORMAT`: `json`, `plain` or nothing.
    fn from_str(text: &str) -> Result<Self, LevelsError> {
        match text {
            "" | "plain" => Ok(Self::Plain),
            "json" => Ok(Self::Json),
            other => Err(LevelsError::Format(other.to_owned())),
        }
    }
}

type Handle = reload::Handle<Targets, Registry>;

/// The running log: its levels can be read and changed.
#[derive(Clone)]
pub struct Logging {
    handle: Handle,
    initial: Arc<Levels>,
    current: Arc<Mutex<Levels>>,
    output: LineWriter,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("a log is already set up in this process")]
pub struct AlreadySet;

/// Why the environment gives no log.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `RUST_LOG` or `LOG_FORMAT` cannot be read.
    #[error(transparent)]
    Setting(#[from] LevelsError),
    /// There is one already.
    #[error(transparent)]
    AlreadySet(#[from] AlreadySet),
}

impl Logging {
    /// Makes the log of this process as `RUST_LOG` (default `info`) and `LOG_FORMAT` (default
    /// `plain`) say.
    ///
    /// # Errors
    /// A value that cannot be read, or a log that is there already.
    pub fn from_env() -> Result<Self, SetupError> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let format = match set("LOG_FORMAT") {
            Some(text) => text.parse()?,
            None => LogFormat::Plain,
        };
        let levels = match set("RUST_LOG") {
            Some(text) => text.parse()?,
            None => Levels::info(),
        };
        Ok(Self::install(format, levels)?)
    }

    /// Makes the log of this process, to standard output.
    ///
    /// # Errors
    /// If the process has one already.
    pub fn install(format: LogFormat, levels: Levels) -> Result<Self, AlreadySet> {
        let output = LineWriter::stdout();
        let (logging, subscriber) = Self::build(format, levels, output);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadySet)?;
        Ok(logging)
    }

    /// The log and its subscriber, not yet installed.
    pub(crate) fn build(
        format: LogFormat,
        levels: Levels,
        output: LineWriter,
    ) -> (Self, impl tracing::Subscriber + Send + Sync) {
        let (filter, handle) = reload::Layer::new(levels.targets());
        let lines = output.clone();
        let writer = move || lines.clone();
        let layer = match format {
            LogFormat::Plain => tracing_subscriber::fmt::layer()
                .with_writer(writer)
                .fmt_fields(plain::Fields)
                .event_format(plain::Lines)
                .boxed(),
            LogFormat::Json => tracing_subscriber::fmt::layer()
                .with_writer(writer)
                .fmt_fields(json::Fields)
                .event_format(json::Lines)
                .boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
        let current = Arc::new(Mutex::new(levels.clone()));
        (Self { handle, initial: Arc::new(levels), current, output }, subscriber)
    }

    /// The levels in force.
    pub fn levels(&self) -> Levels {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies `change` on top of the levels in force, or of those of the start if `reset`.
    pub fn change(&self, reset: bool, change: &Levels) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if reset {
            *current = (*self.initial).clone();
        }
        current.merge(change);
        // Fails only if the subscriber is gone, and then there is nothing to filter.
        let _ = self.handle.reload(current.targets());
    }

    /// Puts the count of lines that were dropped into `registry`.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        registry.register(
            format!("{METRIC_PREFIX}_log_lines_dropped"),
            "Log lines dropped because standard output was not read",
            self.output.dropped().clone(),
        );
    }

    /// Waits, at most a second, until what was logged so far is written: before exit.
    pub fn flush(&self) {
        self.output.flush_lines();
    }
}
