//! What is older than the rings of the proxies: out of a Prometheus that scrapes them, if an
//! operator names one (docs/observe.md, "Longer than the rings").
//!
//! - [`endpoint`]: where it is; nothing else is ever asked
//! - [`promql`]: questions in its language
//! - [`client`]: one question over HTTP
//! - [`series`]: its answer, as edges
//! - [`older`]: a window, of which the rings have the newer part

pub mod client;
pub mod endpoint;
pub mod older;
pub mod promql;
pub mod series;

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use hyper::body::Bytes;
use observe::pb::{Answer, Filter, Query};
use observe::query::{Checked, MAX_LIMIT, QueryError, Sum};

use self::client::{Client, PrometheusError};
use self::promql::{Measure, Span};

/// How long a whole part of a window may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Questions that one part of a window has under way.
const AT_ONCE: usize = 2;

/// A Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    /// Narrowest step of a question, in milliseconds.
    step_ms: i64,
}

impl Prometheus {
    /// Asks through `client`, for steps of at least `step`: two samples of each series must be
    /// in one.
    pub fn new(client: Client, step: Duration) -> Self {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        Self { client, step_ms }
    }

    /// Narrowest step of a question, in milliseconds.
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// The edges of a window. There are no incidents, events, connections and no policies in it.
    ///
    /// # Errors
    /// If there is no answer in time, or one that is too long.
    pub async fn ask(&self, query: &Query, span: Span) -> Result<Answer, PrometheusError> {
        let late = |_| PrometheusError::Late(PATIENCE);
        tokio::time::timeout(PATIENCE, self.edges(query, span)).await.map_err(late)?
    }

    /// The growth of one measure.
    async fn fetch(
        &self,
        measure: Measure,
        filter: &Filter,
        span: Span,
    ) -> (Measure, Result<Bytes, PrometheusError>) {
        let expression = promql::expression(measure, filter, span.step_ms);
        (measure, self.client.range(&expression, span, PATIENCE).await)
    }

    async fn edges(&self, query: &Query, span: Span) -> Result<Answer, PrometheusError> {
        let filter = query.filter.clone().unwrap_or_default();
        let fetched: Vec<_> = Measure::ALL
            .iter()
            .map(|measure| self.fetch(*measure, &filter, span).boxed())
            .collect();
        let mut fetched = stream::iter(fetched).buffered(AT_ONCE);
        let query = Query { want: vec!["edges".to_owned()], limit: MAX_LIMIT, ..query.clone() };
        let wrong = |error: QueryError| PrometheusError::Answer(error.to_string());
        let mut sum = Sum::new(Checked::new(&query).map_err(wrong)?, "");
        while let Some((measure, body)) = fetched.next().await {
            let body = match body {
                // Of much traffic there is one series for each bound: better no latencies than
                // nothing.
                Err(PrometheusError::TooLong) if measure == Measure::Latencies => continue,
                body => body?,
            };
            // Much JSON is work for a thread that may be busy.
            let read = tokio::task::spawn_blocking(move || {
                series::read(&body, measure, span, &mut sum).map(|()| sum)
            });
            sum =
                read.await.map_err(|_| PrometheusError::Answer("cannot be read".to_owned()))??;
        }
        let mut answer = sum.finish();
        answer.oldest_ms = query.from_ms;
        Ok(answer)
    }
}
