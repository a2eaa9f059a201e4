//! What a request asks for, in its query.

use std::collections::BTreeMap;

use bytes::Bytes;
use hbone::serve::Reply;
use http::StatusCode;
use serde_json::json;

use crate::pb::{Filter, Query};
use crate::query::QueryError;

/// Parameters of one request.
const MAX_PARAMETERS: usize = 32;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Wrong {
    /// No such page.
    NoPage,
    /// A parameter.
    Parameter {
        /// Its name.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Others can answer, and this one cannot.
    Away(&'static str),
    /// A fault of ours.
    Ours,
}

impl Wrong {
    pub(super) fn of(field: &str, problem: impl Into<String>) -> Self {
        Self::Parameter { field: field.to_owned(), problem: problem.into() }
    }

    pub(super) fn reply(self) -> Reply {
        let (status, body) = match self {
            Self::NoPage => (
                StatusCode::NOT_FOUND,
                json!({ "error": "there is no such page; docs/observe.md lists them" }),
            ),
            Self::Parameter { field, problem } => (
                StatusCode::BAD_REQUEST,
                json!({ "error": format!("{field}: {problem}"), "field": field }),
            ),
            Self::Away(why) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": why })),
            Self::Ours => (
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({ "error": "the page could not be made; see the log" }),
            ),
        };
        Reply::new(status, "application/json", Bytes::from(body.to_string()))
    }
}

impl From<QueryError> for Wrong {
    fn from(error: QueryError) -> Self {
        Self::of(error.field, error.problem)
    }
}

/// The parameters that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, Wrong> {
        let mut all = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if all.len() >= MAX_PARAMETERS {
                return Err(Wrong::of("query", format!("at most {MAX_PARAMETERS} parameters")));
            }
            if all.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Wrong::of(&name, "it is given twice"));
            }
        }
        Ok(Self(all))
    }

    /// Takes one.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn text(&mut self, name: &str) -> String {
        self.take(name).unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, Wrong> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.parse().map_err(|_| Wrong::of(name, format!("{text:?} is no number")));
        number.map(Some)
    }

    /// That all were taken.
    pub(super) fn none_left(self) -> Result<(), Wrong> {
        match self.0.into_keys().next() {
            Some(name) => Err(Wrong::of(&name, "there is no such parameter")),
            None => Ok(()),
        }
    }

    /// A filter.
    pub(super) fn filter(&mut self) -> Result<Filter, Wrong> {
        let failed = match self.take("failed").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Wrong::of("failed", format!("{other:?} is neither true nor false")));
            }
        };
        Ok(Filter {
            namespace: self.text("namespace"),
            workload: self.text("workload"),
            service: self.text("service"),
            identity: self.text("identity"),
            policy: self.text("policy"),
            node: self.text("node"),
            reporter: self.text("reporter"),
            waypoint: self.text("waypoint"),
            failed,
        })
    }

    /// The question of a window; all parameters are taken then.
    pub(super) fn question(mut self) -> Result<Query, Wrong> {
        let missing = |name| Wrong::of(name, "it is required, in milliseconds since 1970");
        let words = |text: String| {
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let question = Query {
            from_ms: self.number("from")?.ok_or_else(|| missing("from"))?,
            to_ms: self.number("to")?.ok_or_else(|| missing("to"))?,
            step_ms: self.number("step")?.unwrap_or_default(),
            limit: self.number("limit")?.unwrap_or_default(),
            want: words(self.text("want")),
            group: words(self.text("by")),
            filter: Some(self.filter()?),
        };
        self.none_left()?;
        Ok(question)
    }
}

/// A path with its percent signs resolved; what is no UTF-8 is replaced.
pub(super) fn decoded(path: &str) -> String {
    // The same as in a query, but for the plus.
    let path = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let name = form_urlencoded::parse(path.as_bytes()).next().map(|(name, _)| name.into_owned());
    name.unwrap_or_default()
}
