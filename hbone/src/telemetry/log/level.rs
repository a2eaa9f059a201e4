//! Levels by scope: `RUST_LOG` and `/logging`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Scopes that may be named; more are refused.
const MAX_SCOPES: usize = 64;
/// Longest scope name, in bytes.
const MAX_SCOPE: usize = 256;

/// A level for everything and levels for single scopes, such as `info,access=off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    default: Option<LevelFilter>,
    scopes: BTreeMap<String, LevelFilter>,
}

/// Why a text says no levels or no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// A bare scope, `scope:level`, or a misspelt level.
    #[error(
        "{0:?} is neither <level> nor <scope>=<level>; levels are off, error, warn, info, debug and trace"
    )]
    Directive(String),
    /// More scopes than are kept.
    #[error("more than {MAX_SCOPES} scopes")]
    TooMany,
    /// Not a log format.
    #[error("LOG_FORMAT is {0:?}; write json or plain")]
    Format(String),
}

impl Levels {
    /// What is in force without any setting.
    pub fn info() -> Self {
        Self { default: Some(LevelFilter::INFO), scopes: BTreeMap::new() }
    }

    /// Puts `change` over these; a level for everything also ends those of single scopes
    /// that `change` does not name.
    pub(super) fn merge(&mut self, change: &Self) {
        if change.default.is_some() {
            *self = change.clone();
        } else {
            let scopes = change.scopes.iter().map(|(scope, level)| (scope.clone(), *level));
            self.scopes.extend(scopes);
        }
    }

    pub(super) fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.default.unwrap_or(LevelFilter::INFO))
            .with_targets(self.scopes.iter().map(|(scope, level)| (scope.as_str(), *level)))
    }
}

impl FromStr for Levels {
    type Err = LevelsError;

    /// Reads a comma list of `<level>` and `<scope>=<level>`; empty parts are skipped.
    fn from_str(text: &str) -> Result<Self, LevelsError> {
        let mut levels = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || LevelsError::Directive(part.chars().take(MAX_SCOPE).collect());
            match part.split_once('=') {
                None => levels.default = Some(level(part).ok_or_else(wrong)?),
                Some((scope, name)) if is_scope(scope) => {
                    levels.scopes.insert(scope.to_owned(), level(name).ok_or_else(wrong)?);
                }
                Some(_) => return Err(wrong()),
            }
        }
        if levels.scopes.len() > MAX_SCOPES {
            return Err(LevelsError::TooMany);
        }
        Ok(levels)
    }
}

impl fmt::Display for Levels {
    /// As it would be written in `RUST_LOG`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default.unwrap_or(LevelFilter::INFO))?;
        self.scopes.iter().try_for_each(|(scope, level)| write!(f, ",{scope}={level}"))
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_lowercase().as_str() {
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

fn is_scope(scope: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_:-.".contains(&b);
    (1..=MAX_SCOPE).contains(&scope.len()) && scope.bytes().all(plain)
}
