//! What a Prometheus answers, as edges.

use std::collections::{BTreeMap, HashMap};

use observe::pb::{Counters, EdgeKey, Party, Sketch};
use observe::query::Sum;
use serde::{Deserialize, Deserializer};

use super::client::PrometheusError;
use super::promql::{Measure, Span};
use crate::limits::MAX_PROMETHEUS_SERIES;

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: HashMap<String, String>,
    /// Seconds since 1970, and the value then.
    values: Vec<(f64, Number)>,
}

/// A number that is written as a text.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Adds the answer to a question for one measure.
///
/// # Errors
/// If it is none, or has too many series.
pub fn read(
    body: &[u8],
    measure: Measure,
    span: Span,
    sum: &mut Sum,
) -> Result<(), PrometheusError> {
    let wrong =
        |error: serde_json::Error| PrometheusError::Answer(format!("cannot be read: {error}"));
    let body: Body = serde_json::from_slice(body).map_err(wrong)?;
    let series = body.data.result;
    if series.len() > MAX_PROMETHEUS_SERIES {
        return Err(PrometheusError::TooMany(MAX_PROMETHEUS_SERIES));
    }
    if measure == Measure::Latencies {
        latencies(&series, span, sum);
        return Ok(());
    }
    for series in &series {
        let of = |(at_ms, count): (i64, f64)| {
            (at_ms, counted(measure, &series.metric, count.round() as u64))
        };
        let counted = series.steps(span).map(of).filter(|(_, counters)| !counters.is_empty());
        let mut counted = counted.peekable();
        if counted.peek().is_some() {
            sum.add(&series.key(), counted);
        }
    }
    Ok(())
}

fn counted(measure: Measure, labels: &HashMap<String, String>, count: u64) -> Counters {
    let mut counters = Counters::default();
    match measure {
        Measure::Opened => counters.opened = count,
        Measure::Closed => counters.closed = count,
        Measure::Failed => {
            counters.failed = count;
            let refused = labels.get("response_flags").is_some_and(|flag| flag == "DENY");
            counters.refused = if refused { count } else { 0 };
        }
        Measure::Sent => counters.sent_bytes = count,
        Measure::Received => counters.received_bytes = count,
        Measure::Requests if count > 0 => {
            counters.requests = count;
            let code = labels.get("response_code").and_then(|code| code.parse::<usize>().ok());
            counters.statuses = vec![0; 6];
            if let Some(sum) = counters.statuses.get_mut((code.unwrap_or(0) / 100).min(5)) {
                *sum = count;
            }
            let flag = labels.get("response_flags").map_or("-", String::as_str);
            counters.failed = if is_failure(flag) { count } else { 0 };
            counters.refused = if flag == "UAEX" { count } else { 0 };
        }
        Measure::Requests | Measure::Latencies => {}
    }
    counters
}

fn is_failure(flag: &str) -> bool {
    !matches!(flag, "" | "-" | "unknown")
}

impl Series {
    /// Beginnings of steps, and what is said of each.
    fn steps(&self, span: Span) -> impl Iterator<Item = (i64, f64)> {
        self.values.iter().filter_map(move |(at, value)| {
            let value = Some(value.0).filter(|value| value.is_finite() && *value > 0.0)?;
            let at_ms = (at * 1_000.0).round() as i64 - span.step_ms;
            (span.from_ms..span.to_ms).contains(&at_ms).then_some((at_ms, value))
        })
    }

    fn key(&self) -> EdgeKey {
        let label = |name: &str| {
            let found = self.metric.get(name).filter(|text| *text != "unknown");
            found.cloned().unwrap_or_default()
        };
        let party = |side: &str| Party {
            namespace: label(&format!("{side}_workload_namespace")),
            workload: label(&format!("{side}_workload")),
            identity: label(&format!("{side}_principal")),
        };
        let host = label("destination_service");
        let flag = label("response_flags");
        let reporter = label("reporter");
        let gateway = label("gateway");
        let by_waypoint = reporter == "waypoint" && !gateway.is_empty();
        EdgeKey {
            source: Some(party("source")),
            destination: Some(party("destination")),
            service: match label("destination_service_namespace") {
                _ if host.is_empty() => String::new(),
                namespace => format!("{namespace}/{host}"),
            },
            protocol: label("request_protocol"),
            security: match label("connection_security_policy").as_str() {
                "mutual_tls" => "mtls",
                _ => "plain",
            }
            .to_owned(),
            failure: if is_failure(&flag) { flag } else { String::new() },
            waypoint: if by_waypoint {
                format!("{}/{gateway}", label("namespace"))
            } else {
                String::new()
            },
            reporter,
            ..EdgeKey::default()
        }
    }
}

/// Histograms: how many requests took how long, out of how many took at most so long.
fn latencies(series: &[Series], span: Span, sum: &mut Sum) {
    // By edge the bounds, in microseconds, and what is at or below them by step.
    let mut edges: BTreeMap<EdgeKey, Vec<(f64, &Series)>> = BTreeMap::new();
    for series in series {
        let bound = series.metric.get("le").and_then(|le| le.parse::<f64>().ok());
        if let Some(bound) = bound {
            edges.entry(series.key()).or_default().push((bound * 1_000.0, series));
        }
    }
    for (key, mut bounds) in edges {
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        // By step: the sketch so far, and how many it has.
        let mut steps: BTreeMap<i64, (Sketch, f64)> = BTreeMap::new();
        let mut low = 0.0;
        for (bound, series) in bounds {
            // Of what is above all bounds the last is the best that is known.
            let middle = if bound.is_finite() { f64::midpoint(low, bound) } else { low };
            for (at_ms, below) in series.steps(span) {
                let (sketch, seen) = steps.entry(at_ms).or_default();
                let here = (below - *seen).round();
                if here >= 1.0 {
                    sketch.record_many(middle as u64, here as u64);
                    *seen = below;
                }
            }
            if bound.is_finite() {
                low = bound;
            }
        }
        let counted = steps.into_iter().filter(|(_, (sketch, _))| sketch.count() > 0);
        sum.add(
            &key,
            counted.map(|(at_ms, (sketch, _))| {
                (at_ms, Counters { latencies: Some(sketch), ..Counters::default() })
            }),
        );
    }
}

#[cfg(test)]
mod tests;
