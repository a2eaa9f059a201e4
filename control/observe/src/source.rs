//! Whom a page asks: one proxy, or all of them.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::broadcast;

use crate::pb::{Answer, Origin, Query};
use crate::query::{Checked, QueryError};
use crate::recorder::{Happened, Recorder};

/// Kind and name of the origin of what is older than any ring.
pub const PROMETHEUS: &str = "prometheus";

/// What one proxy said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who.
    pub origin: Origin,
    /// Since when it is connected, in milliseconds since 1970.
    pub connected_ms: i64,
    /// The part of the window that it was asked for, from and to; none: all of it.
    pub part: Option<(i64, i64)>,
    /// Its answer, or why there is none.
    pub result: Result<Answer, String>,
}

/// A future of what was heard.
pub type Hearing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Heard>, QueryError>> + Send + 'a>>;

/// Somebody who can be asked.
pub trait Source: Send + Sync + 'static {
    /// `fleet` or `node`.
    fn scope(&self) -> &'static str;

    /// Asks everybody; none of them is waited for longer than 2 s.
    fn ask(&self, query: Query) -> Hearing<'_>;

    /// Why nobody here can answer, and who can.
    fn away(&self) -> Option<&'static str> {
        None
    }

    /// Where what is older than the rings comes from; the empty text: from nowhere.
    fn longer(&self) -> &'static str {
        ""
    }

    /// What happens from now on.
    fn watch(&self) -> broadcast::Receiver<Happened>;
}

impl Source for Recorder {
    fn scope(&self) -> &'static str {
        "node"
    }

    fn ask(&self, query: Query) -> Hearing<'_> {
        Box::pin(async move {
            Checked::new(&query)?;
            let result = self.answer_whole(query).await;
            let connected_ms = self.origin().started_ms;
            Ok(vec![Heard { origin: self.origin().clone(), connected_ms, part: None, result }])
        })
    }

    fn watch(&self) -> broadcast::Receiver<Happened> {
        Self::watch(self)
    }
}

impl Recorder {
    /// Answers a question on a thread that may wait, with the state of the proxy.
    ///
    /// # Errors
    /// If the question is out of bounds, in a sentence.
    pub async fn answer_whole(&self, query: Query) -> Result<Answer, String> {
        let recorder = self.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let mut answer = recorder.answer(&query)?;
            if query.want.iter().any(|want| want == "state") {
                answer.state = Some(recorder.state());
            }
            Ok(answer)
        });
        match answered.await {
            Ok(answer) => answer.map_err(|error: QueryError| error.to_string()),
            Err(_) => Err("the question could not be answered; see the log".to_owned()),
        }
    }
}
