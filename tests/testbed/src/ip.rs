//! Addresses, links and routes through `ip -batch`, firewall rules through `nft -f`.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The program is not there.
    #[error("`{program}` could not be started: {source}; `./dev` installs it")]
    Program {
        /// `ip`, `nft` or `tc`.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program refused.
    #[error("{program} in {namespace} refused:\n{said}\nof:\n{script}")]
    Refused {
        /// `ip`, `nft` or `tc`.
        program: &'static str,
        /// The network namespace.
        namespace: String,
        /// Its error output.
        said: String,
        /// What it was given.
        script: String,
    },
}

/// Runs lines of `ip` in the named namespace; stops at the first that fails.
///
/// # Errors
/// `Refused` with the program's words.
pub fn batch(namespace: &str, lines: &str) -> Result<(), ConfigError> {
    feed("ip", &["-n", namespace, "-batch", "-"], namespace, lines)
}

/// As [`batch`], for lines that `ip` takes for IPv4 unless told: policy rules.
///
/// # Errors
/// `Refused` with the program's words.
pub fn batch6(namespace: &str, lines: &str) -> Result<(), ConfigError> {
    feed("ip", &["-6", "-n", namespace, "-batch", "-"], namespace, lines)
}

/// Loads a ruleset in the named namespace, all of it or nothing.
///
/// # Errors
/// `Refused` with the program's words.
pub fn nft(namespace: &str, rules: &str) -> Result<(), ConfigError> {
    feed("ip", &["netns", "exec", namespace, "nft", "-f", "-"], namespace, rules)
}

/// Runs lines of `tc` in the named namespace.
///
/// # Errors
/// `Refused` with the program's words.
pub fn tc(namespace: &str, lines: &str) -> Result<(), ConfigError> {
    feed("tc", &["-n", namespace, "-batch", "-"], namespace, lines)
}

fn feed(
    program: &'static str,
    args: &[&str],
    namespace: &str,
    script: &str,
) -> Result<(), ConfigError> {
    let started = |source| ConfigError::Program { program, source };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(started)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that refuses an early line may close its input; its words follow below.
        let _ = stdin.write_all(script.as_bytes());
    }
    let output = child.wait_with_output().map_err(started)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ConfigError::Refused {
        program,
        namespace: namespace.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        script: script.to_owned(),
    })
}
