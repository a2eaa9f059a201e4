//! What happens between a proxy and the control plane, told to whoever remembers it.

use std::fmt;
use std::sync::Arc;

use crate::wire::pb::envoy::service::discovery::v3 as pb;

/// Names that are told one by one; of the others only how many there are.
const FEW: usize = 3;

/// Hears of it; called on the client's task, so it must not wait.
pub type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A stream is open.
    Connected {
        /// The servers that are tried.
        servers: String,
    },
    /// There is none, and not because the server ended it in order: the state may be stale.
    Lost {
        /// The servers that are tried.
        servers: String,
        /// Why.
        why: String,
    },
    /// Resources were taken.
    Taken {
        /// Their type.
        type_url: String,
        /// New or changed.
        changed: Names,
        /// Gone.
        removed: Names,
    },
    /// Resources were refused; what was known of them stays in force, or something stricter.
    Rejected {
        /// Their type.
        type_url: String,
        /// Which, and why.
        why: String,
    },
}

/// Some names, of which the first few are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    few: Vec<String>,
    count: usize,
}

impl Names {
    /// Those of `all`.
    pub fn of<'a>(all: impl Iterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for name in all {
            names.count += 1;
            if names.few.len() < FEW {
                names.few.push(name.to_owned());
            }
        }
        names
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The name, if there is only one.
    pub fn only(&self) -> Option<&str> {
        self.few.first().filter(|_| self.count == 1).map(String::as_str)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.few.join(", "))?;
        match self.count - self.few.len() {
            0 => Ok(()),
            others => write!(f, " and {others} more"),
        }
    }
}

/// The names of a response, before it is taken.
pub(super) fn names(response: &pb::DeltaDiscoveryResponse) -> (Names, Names) {
    let changed = Names::of(response.resources.iter().map(|resource| resource.name.as_str()));
    (changed, Names::of(response.removed_resources.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_told_and_the_rest_counted() {
        let of = |names: &[&str]| Names::of(names.iter().copied());
        assert_eq!(of(&["a"]).to_string(), "a");
        assert_eq!(of(&["a", "b", "c", "d", "e"]).to_string(), "a, b, c and 2 more");
        assert_eq!((of(&["a"]).only(), of(&["a", "b"]).only()), (Some("a"), None));
        assert_eq!(of(&[]).to_string(), "");
    }
}
