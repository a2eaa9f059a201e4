//! The agent's metrics (docs/wire.md, "Telemetry").

use std::sync::atomic::AtomicU64;

use hbone::brand;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::source::{Report, State};

/// What was done to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum Event {
    /// It was enrolled.
    enrolled,
    /// An attempt to enrol it failed.
    pending,
    /// Its enrolment was withdrawn.
    withdrawn,
    /// It is gone.
    removed,
    /// Its rules were missing and were restored.
    restored,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    r#type: Event,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    response_code: u16,
}

/// Counters and gauges of one agent.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    connected: Gauge,
    events: Family<EventLabel, Counter>,
    pods: Family<StateLabel, Gauge>,
    older: Gauge<u64, AtomicU64>,
    requests: Family<CodeLabel, Counter>,
    installs: Family<ResultLabel, Counter>,
    install_ready: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

impl AgentMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connected: Gauge::default(),
            events: Family::default(),
            pods: Family::default(),
            older: Gauge::default(),
            requests: Family::default(),
            installs: Family::default(),
            install_ready: Gauge::default(),
        };
        let connected = metrics.connected.clone();
        registry.register("ztunnel_connected", "Connected proxies", connected);
        let events = metrics.events.clone();
        registry.register("nodeagent_reconcile_events", "What was done to pods", events);
        registry.register(brand::NODE_PODS, "Pods by state of enrolment", metrics.pods.clone());
        let older = metrics.older.clone();
        let help = "Open connections that are older than the enrolment of their pods";
        registry.register(brand::NODE_OLDER_CONNECTIONS, help, older);
        let requests = metrics.requests.clone();
        registry.register("istio_cni_plugin_requests", "Answered CNI calls", requests);
        let installs = metrics.installs.clone();
        registry.register(
            "istio_cni_installs",
            "Attempts to put the CNI plugin in force",
            installs,
        );
        let ready = metrics.install_ready.clone();
        registry.register("istio_cni_install_ready", "Whether the CNI plugin is in force", ready);
        metrics
    }

    pub(crate) fn count(&self, event: Event) {
        self.events.get_or_create(&EventLabel { r#type: event }).inc();
    }

    pub(crate) fn answered(&self, response_code: u16) {
        self.requests.get_or_create(&CodeLabel { response_code }).inc();
    }

    pub(crate) fn installed(&self, result: &'static str) {
        self.installs.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn install_ready(&self, ready: bool) {
        self.install_ready.set(i64::from(ready));
    }

    /// Brings the gauges up to date; call it before each reading.
    pub fn refresh<'a>(&self, proxies: usize, reports: impl IntoIterator<Item = &'a Report>) {
        let (mut enrolled, mut pending, mut outside, mut older) = (0, 0, 0, 0);
        for report in reports {
            older += report.older_connections;
            match report.state {
                State::Enrolled => enrolled += 1,
                State::Pending => pending += 1,
                State::NotEnrolled => outside += 1,
            }
        }
        self.connected.set(i64::try_from(proxies).unwrap_or(i64::MAX));
        self.older.set(older);
        for (state, count) in
            [("enrolled", enrolled), ("pending", pending), ("not_enrolled", outside)]
        {
            self.pods.get_or_create(&StateLabel { state }).set(count);
        }
    }
}
