//! One thing that is not as it should be.

use serde::Serialize;

use crate::terminal::Style;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Traffic is refused or unprotected, or something does not run.
    Error,
    /// It may soon, or is not what its author meant.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// How it looks.
    pub(super) fn style(self) -> Style {
        match self {
            Self::Error => Style::Bad,
            Self::Warning => Style::Warning,
            Self::Info => Style::Dim,
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The same for the same kind of fault, for ever: docs/cli.md lists them.
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What it is about: `Pod shop/web`, `ztunnel on node-a`.
    pub(super) object: String,
    /// What is wrong.
    pub(super) problem: String,
    /// How to put it right.
    pub(super) fix: String,
    /// The namespace that it concerns; empty: all of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    /// The node that it concerns, if it is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) node: String,
}

impl Finding {
    /// A finding about an object of the mesh as a whole.
    pub(super) fn new(
        severity: Severity,
        id: &'static str,
        object: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity,
            object: object.into(),
            problem: problem.into(),
            fix: fix.into(),
            namespace: String::new(),
            node: String::new(),
        }
    }

    /// The same, of a namespace.
    pub(super) fn within(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// The same, of a node.
    pub(super) fn on(self, node: &str) -> Self {
        Self { node: node.to_owned(), ..self }
    }
}
