//! How a command ends: exit codes (docs/cli.md, "Exit codes").

use std::process::ExitCode;

/// How a command ended that did what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All is well: 0.
    Fine,
    /// Some did not answer, so what is shown is not all: 5.
    Partial,
    /// What was looked at is not as it should be: 3. `check` found errors, `diff` differences.
    Wrong,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fine => Self::SUCCESS,
            Outcome::Wrong => Self::from(3),
            Outcome::Partial => Self::from(5),
        }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for cannot be: 2.
    #[error("{0}")]
    Usage(String),
    /// Nothing has that name: 4.
    #[error("{0}")]
    NotFound(String),
    /// Anything else: 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Usage(_) => ExitCode::from(2),
            Self::NotFound(_) => ExitCode::from(4),
        }
    }

    /// No such thing; says what there is that is called alike.
    pub(crate) fn unknown<'a>(
        what: &str,
        wanted: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::NotFound(crate::suggest::unknown(what, wanted, known))
    }
}

/// For one that did not happen.
#[macro_export]
macro_rules! failed {
    ($($message:tt)*) => { $crate::failure::Failure::Failed(anyhow::anyhow!($($message)*)) };
}
