//! How a policy compares a text.

use std::sync::Arc;

/// A comparison with a text that may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// The whole text.
    Exact(Arc<str>),
    /// Its beginning (`abc*`).
    Prefix(Arc<str>),
    /// Its end (`*abc`).
    Suffix(Arc<str>),
    /// Any text, as long as there is one (`*`).
    Presence,
}

impl StringMatch {
    /// Compares; a text that is absent matches nothing, not even presence.
    pub fn matches(&self, text: Option<&str>) -> bool {
        let Some(text) = text else { return false };
        match self {
            Self::Exact(want) => text == &**want,
            Self::Prefix(want) => text.starts_with(&**want),
            Self::Suffix(want) => text.ends_with(&**want),
            Self::Presence => !text.is_empty(),
        }
    }
}
