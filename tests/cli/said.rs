//! A run of the command, and what it said.

use std::time::Duration;

use serde_json::Value;
use testbed::process::Command;
use testbed::{Finished, Testbed};

/// The command.
pub(crate) const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command in the machine room, where no kubeconfig leads anywhere else.
pub(crate) fn command(bed: &Testbed, arguments: &str) -> Command {
    let command = bed.command(AMBIT).named("cli").args(arguments.split_whitespace());
    command.env("HOME", "/nonexistent").env("KUBECONFIG", "").env("TERM", "dumb")
}

/// Runs it.
pub(crate) async fn ambit(bed: &Testbed, arguments: &str) -> anyhow::Result<Said> {
    Ok(command(bed, arguments).run(LIMIT).await?.into())
}

impl From<Finished> for Said {
    fn from(finished: Finished) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: finished.code(), out: text(&finished.stdout), err: text(&finished.stderr) }
    }
}

impl Said {
    /// That it ended so; for a chain.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// That a line of stdout has all of these words.
    #[track_caller]
    pub(crate) fn has(&self, words: &[&str]) -> &Self {
        let is = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(self.out.lines().any(is), "no line with {words:?} in {self:#?}");
        self
    }

    /// That stderr says so.
    #[track_caller]
    pub(crate) fn complains(&self, text: &str) -> &Self {
        assert!(self.err.contains(text), "not {text:?} in {self:#?}");
        self
    }

    /// Its JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }
}
