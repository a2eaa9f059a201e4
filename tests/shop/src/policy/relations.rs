//! Relationships: who may read or write what.
//!
//! One on a line, `SUBJECT RELATION OBJECT`, such as `shop/web reads orders:/orders`:
//!
//! - the subject is `namespace/service-account`
//! - `reads` covers GET and HEAD, `writes` every other method
//! - the object is a service's name and a path; it covers what lies below the path
//!
//! Empty lines and what follows `#` say nothing. What no line allows is refused.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a file.
pub(crate) const FILE_LIMIT: u64 = 64 * 1024;

/// Why a file of relationships cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RelationError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is longer than 64 KiB.
    #[error("{0} is longer than {FILE_LIMIT} bytes")]
    TooLong(PathBuf),
    /// A line that is no relationship.
    #[error(
        "line {line}: {found:?} is no relationship; write one such as \
         `shop/web reads orders:/orders`"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
}

/// What the relationships say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By this relationship.
    Allowed(String),
    /// For this reason.
    Denied(String),
}

/// All relationships of a file.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    all: Vec<Relation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Relation {
    subject: String,
    writes: bool,
    service: String,
    path: String,
}

/// The text of a file.
pub(super) fn load(path: &Path) -> Result<String, RelationError> {
    let failed = |source| RelationError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let mut file = File::open(path).map_err(failed)?.take(FILE_LIMIT + 1);
    file.read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(RelationError::TooLong(path.to_owned()));
    }
    Ok(text)
}

impl Relations {
    /// Reads relationships.
    ///
    /// # Errors
    /// `Line` at the first that is none: half a file could allow or refuse too much.
    pub fn parse(text: &str) -> Result<Self, RelationError> {
        let mut all = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            let wrong = || RelationError::Line { line: number + 1, found: said.to_owned() };
            all.push(Relation::parse(said).ok_or_else(wrong)?);
        }
        Ok(Self { all })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none, so that everything is refused.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the caller with this SPIFFE ID may do this.
    pub fn decide(&self, principal: &str, method: &str, host: &str, path: &str) -> Verdict {
        let Some(subject) = subject(principal) else {
            return Verdict::Denied(format!("{principal:?} is nobody of this mesh"));
        };
        let path = path.split('?').next().unwrap_or_default();
        // Two programs may read such a path in two ways.
        if path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/.") {
            return Verdict::Denied("the path is written in a way that hides its target".into());
        }
        let asked = Relation {
            subject,
            writes: !matches!(method, "GET" | "HEAD"),
            service: host.split(['.', ':']).next().unwrap_or_default().to_owned(),
            path: path.to_owned(),
        };
        match self.all.iter().find(|relation| relation.covers(&asked)) {
            Some(relation) => Verdict::Allowed(relation.to_string()),
            None => Verdict::Denied(format!("no relationship says {asked}")),
        }
    }
}

/// `namespace/service-account` of a SPIFFE ID.
fn subject(principal: &str) -> Option<String> {
    let mut parts = principal.strip_prefix("spiffe://")?.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("ns"), Some(namespace), Some("sa"), Some(account), None) => {
            Some(format!("{namespace}/{account}"))
        }
        _ => None,
    }
}

impl Relation {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (subject, relation, object) = (words.next()?, words.next()?, words.next()?);
        let (service, path) = object.split_once(':')?;
        let (namespace, account) = subject.split_once('/')?;
        let writes = match relation {
            "reads" => false,
            "writes" => true,
            _ => return None,
        };
        let named = !namespace.is_empty() && !account.is_empty() && !service.is_empty();
        (named && path.starts_with('/') && words.next().is_none()).then(|| Self {
            subject: subject.to_owned(),
            writes,
            service: service.to_owned(),
            path: path.to_owned(),
        })
    }

    fn covers(&self, asked: &Self) -> bool {
        let below = match asked.path.strip_prefix(&self.path) {
            Some(rest) => rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'),
            None => false,
        };
        below
            && self.subject == asked.subject
            && self.writes == asked.writes
            && self.service == asked.service
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let relation = if self.writes { "writes" } else { "reads" };
        write!(f, "{} {relation} {}:{}", self.subject, self.service, self.path)
    }
}

#[cfg(test)]
mod tests;
