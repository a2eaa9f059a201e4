//! What Prometheus is told of what a proxy knows of itself: the ends of its certificates, and
//! whom policies refused (docs/wire.md, "Telemetry").
//!
//! Read at each scrape: nothing of it is kept twice.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use hbone::brand::METRIC_PREFIX;

use crate::pb::Certificate;
use crate::recorder::Recorder;

/// A time of a certificate, milliseconds since 1970.
type At = fn(&Certificate) -> i64;

/// Adds them to `registry`.
pub fn register(registry: &mut Registry, recorder: Recorder) {
    registry.register_collector(Box::new(Remembered(recorder)));
}

#[derive(Debug)]
struct Remembered(Recorder);

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfIdentity {
    identity: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfPolicy {
    policy: String,
}

impl Collector for Remembered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let certificates = self.0.state().certificates;
        let held: Vec<_> = certificates.iter().filter(|one| one.not_after_ms > 0).collect();
        let begin = |one: &Certificate| one.not_before_ms;
        let end = |one: &Certificate| one.not_after_ms;
        for (name, help, at) in [
            ("start", "When the certificate of an identity began, seconds since 1970", begin as At),
            ("expiry", "When it ends, seconds since 1970", end),
        ] {
            if held.is_empty() {
                continue;
            }
            let name = format!("{METRIC_PREFIX}_certificate_{name}_timestamp_seconds");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for certificate in &held {
                let gauge = ConstGauge::new(at(certificate) / 1_000);
                let of = OfIdentity { identity: certificate.identity.clone() };
                gauge.encode(family.encode_family(&of)?)?;
            }
        }
        let refusals = self.0.refusals();
        if !refusals.is_empty() {
            let name = format!("{METRIC_PREFIX}_policy_refusals");
            let help = "Connections and requests that a policy refused; none is named where no \
                        ALLOW policy allowed";
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (policy, count) in refusals {
                ConstCounter::new(count).encode(family.encode_family(&OfPolicy { policy })?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::{EdgeKey, State};
    use crate::recorder::{Exchange, Failure};

    #[test]
    fn certificates_and_refusals_are_told_at_each_scrape() {
        let recorder = Recorder::default();
        recorder.tell_state(|| {
            let identity = "spiffe://a/ns/b/sa/c".to_owned();
            let one =
                Certificate { identity, not_after_ms: 1_700_000_000_000, ..Certificate::default() };
            State { certificates: vec![one], ..State::default() }
        });
        let mut registry = Registry::default();
        register(&mut registry, recorder.clone());
        for policy in ["shop/no-web", "shop/no-web", ""] {
            let failure = Failure {
                class: "DENY".to_owned(),
                refused: true,
                policy: policy.to_owned(),
                ..Failure::default()
            };
            let exchange = Exchange { failure: Some(failure), ..Exchange::default() };
            recorder.request(EdgeKey::default(), exchange);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            "ambit_certificate_expiry_timestamp_seconds{identity=\"spiffe://a/ns/b/sa/c\"} 1700000000",
            "ambit_policy_refusals_total{policy=\"shop/no-web\"} 2",
            "ambit_policy_refusals_total{policy=\"\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
