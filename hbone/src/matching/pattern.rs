//! Regular expressions of routes: the same in control, which says what is wrong with one, and in
//! the waypoint, which compares.

use regex::{Regex, RegexBuilder};

/// Largest compiled regular expression, in bytes.
pub const MAX_REGEX: usize = 1024 * 1024;

/// A regular expression that must match the whole text, in the syntax of the crate `regex`:
/// without look-around and back references, so that none takes more than linear time.
///
/// # Errors
/// What is wrong with it, in a sentence that quotes it.
pub fn whole(text: &str) -> Result<Regex, String> {
    let read = |pattern: &str| {
        let regex =
            RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
        regex.map_err(|error| format!("regular expression {text:?}: {error}"))
    };
    // By itself first: `a)|(b` is none, and would leave the group that anchors it.
    read(text)?;
    read(&format!("^(?:{text})$"))
}
