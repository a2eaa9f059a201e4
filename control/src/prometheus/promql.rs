//! Questions in the language of Prometheus.
//!
//! What a person filters by goes into them only as quoted text of a label matcher. A matcher lets
//! through at least what the filter does; the filter itself is applied to the answer.

use std::fmt::Write as _;

use observe::pb::Filter;

/// A window, and the width of its steps, in milliseconds. All are whole steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where the first step begins.
    pub from_ms: i64,
    /// Where the last one ends, or would.
    pub to_ms: i64,
    /// Width of a step.
    pub step_ms: i64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Connections.
    Opened,
    /// Connections.
    Closed,
    /// Connections that failed or were refused.
    Failed,
    /// Bytes from client to server.
    Sent,
    /// Bytes back.
    Received,
    /// Requests, by status.
    Requests,
    /// Requests, by how long they took.
    Latencies,
}

impl Measure {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Opened,
        Self::Closed,
        Self::Failed,
        Self::Sent,
        Self::Received,
        Self::Requests,
        Self::Latencies,
    ];

    /// The metric (docs/wire.md, "Telemetry" and "Layer 7 telemetry").
    fn metric(self) -> &'static str {
        match self {
            Self::Opened => "istio_tcp_connections_opened_total",
            Self::Closed => "istio_tcp_connections_closed_total",
            Self::Failed => "istio_tcp_connections_failed_total",
            // Named as the server sees them.
            Self::Sent => "istio_tcp_received_bytes_total",
            Self::Received => "istio_tcp_sent_bytes_total",
            Self::Requests => "istio_requests_total",
            Self::Latencies => "istio_request_duration_milliseconds_bucket",
        }
    }

    /// The label that it alone has.
    fn label(self) -> Option<&'static str> {
        match self {
            Self::Requests => Some("response_code"),
            Self::Latencies => Some("le"),
            Self::Opened | Self::Closed | Self::Failed | Self::Sent | Self::Received => None,
        }
    }
}

/// Labels of an edge. `namespace` and `gateway` are those of the target that was scraped
/// (`manifests/prometheus/scrape.yaml`): they name a waypoint.
const LABELS: &[&str] = &[
    "reporter",
    "source_workload_namespace",
    "source_workload",
    "source_principal",
    "destination_workload_namespace",
    "destination_workload",
    "destination_principal",
    "destination_service_namespace",
    "destination_service",
    "request_protocol",
    "connection_security_policy",
    "response_flags",
    "namespace",
    "gateway",
];

/// By how much a measure grew in each step, by edge.
pub fn expression(measure: Measure, filter: &Filter, step_ms: i64) -> String {
    let labels = LABELS.iter().copied().chain(measure.label()).collect::<Vec<_>>().join(", ");
    let seconds = step_ms / 1_000;
    let metric = measure.metric();
    let part = |matcher: String| {
        format!("sum by ({labels}) (increase({metric}{{{matcher}}}[{seconds}s]))")
    };
    // Series that several of them let through are there once: their labels are the same.
    matchers(filter).into_iter().map(part).collect::<Vec<_>>().join(" or ")
}

/// Matchers of which at least one lets through whatever the filter does.
fn matchers(filter: &Filter) -> Vec<String> {
    let reporter = matcher("reporter", &filter.reporter);
    let any = |labels: &[&str], pattern: &str| -> Vec<String> {
        let matchers = labels.iter().filter_map(|label| matcher(label, pattern));
        matchers
            .map(|one| reporter.iter().cloned().chain([one]).collect::<Vec<_>>().join(","))
            .collect()
    };
    let found = if !filter.workload.is_empty() {
        any(&["source_workload", "destination_workload"], &filter.workload)
    } else if !filter.identity.is_empty() {
        any(&["source_principal", "destination_principal"], &filter.identity)
    } else if !filter.service.is_empty() {
        // A name is the beginning of a host name.
        let name = filter.service.rsplit('/').next().unwrap_or_default();
        any(&["destination_service"], &format!("{}*", name.trim_end_matches('*')))
    } else {
        let labels = [
            "source_workload_namespace",
            "destination_workload_namespace",
            "destination_service_namespace",
        ];
        any(&labels, &filter.namespace)
    };
    if found.is_empty() { vec![reporter.unwrap_or_default()] } else { found }
}

/// A matcher of one label; `*` at the end of a pattern matches any rest. None matches all.
fn matcher(label: &str, pattern: &str) -> Option<String> {
    match pattern.strip_suffix('*') {
        Some("") => None,
        Some(start) => Some(format!("{label}=~{}", quoted(&format!("{}.*", literal(start))))),
        None if pattern.is_empty() => None,
        None => Some(format!("{label}={}", quoted(pattern))),
    }
}

/// A text of PromQL, in which nothing ends it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            // Writing to a string does not fail.
            char if char.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// A regular expression (RE2) of exactly this text.
fn literal(text: &str) -> String {
    let mut literal = String::new();
    for char in text.chars() {
        if r"\.+*?()|[]{}^$".contains(char) {
            literal.push('\\');
        }
        literal.push(char);
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: impl FnOnce(&mut Filter)) -> Vec<String> {
        let mut filter = Filter::default();
        set(&mut filter);
        matchers(&filter)
    }

    #[test]
    fn an_expression_asks_for_the_growth_of_a_step() {
        let asked = expression(Measure::Opened, &Filter::default(), 120_000);
        assert!(asked.starts_with("sum by (reporter, source_workload_namespace, "), "{asked}");
        assert!(
            asked.ends_with("(increase(istio_tcp_connections_opened_total{}[120s]))"),
            "{asked}"
        );
        let asked = expression(Measure::Requests, &Filter::default(), 60_000);
        assert!(asked.contains("gateway, response_code)"), "{asked}");
        // Seen from the client, what the server received was sent.
        assert!(expression(Measure::Sent, &Filter::default(), 1_000).contains("received_bytes"));
        let namespace = Filter { namespace: "shop".to_owned(), ..Filter::default() };
        assert_eq!(expression(Measure::Opened, &namespace, 60_000).matches(" or ").count(), 2);
    }

    #[test]
    fn a_filter_becomes_matchers_that_let_through_at_least_as_much() {
        let none: [String; 1] = [String::new()];
        assert_eq!(of(|_| {}), none);
        assert_eq!(of(|f| f.namespace = "*".into()), none);
        assert_eq!(
            of(|f| f.workload = "web".into()),
            [r#"source_workload="web""#, r#"destination_workload="web""#]
        );
        // The narrower of two is enough.
        assert_eq!(of(|f| (f.workload, f.namespace) = ("web".into(), "shop".into())).len(), 2);
        assert_eq!(
            of(|f| (f.service, f.reporter) = ("shop/store".into(), "source".into())),
            [r#"reporter="source",destination_service=~"store.*""#]
        );
        assert_eq!(
            of(|f| f.identity = "spiffe://cluster.local/ns/shop/*".into())[0],
            r#"source_principal=~"spiffe://cluster\\.local/ns/shop/.*""#
        );
    }

    #[test]
    fn names_are_text_and_nothing_else() {
        for (name, want) in [
            (r#"a"b"#, r#"source_workload="a\"b""#),
            (r"a\", r#"source_workload="a\\""#),
            ("a\nb", r#"source_workload="a\nb""#),
            ("a\u{0}\u{7f}", r#"source_workload="a\u0000\u007f""#),
            (r#"x"} or up{y=""#, r#"source_workload="x\"} or up{y=\"""#),
            ("ä ü", r#"source_workload="ä ü""#),
            (r"a.b|c*", r#"source_workload=~"a\\.b\\|c.*""#),
            (r#"a"\*"#, r#"source_workload=~"a\"\\\\.*""#),
            ("(.+)[x]{2}^$?*", r#"source_workload=~"\\(\\.\\+\\)\\[x\\]\\{2\\}\\^\\$\\?.*""#),
        ] {
            assert_eq!(of(|f| f.workload = name.to_owned())[0], want, "{name:?}");
        }
    }
}
