//! Alerts, and when they fire.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use testbed::eventually;
use tokio::time::{Instant, sleep};

use crate::server::Prometheus;

/// How long nothing may be wrong before the first fault: several evaluations of each rule.
const CALM: Duration = Duration::from_secs(5);
/// From a fault to its alerts.
const FIRES: Duration = Duration::from_secs(30);

/// What has fired so far.
pub(crate) struct Watch<'a> {
    prometheus: &'a Prometheus,
    fired: BTreeSet<String>,
}

fn name(alert: &Value) -> &str {
    alert["labels"]["alertname"].as_str().unwrap_or_default()
}

impl<'a> Watch<'a> {
    /// Looks on for a while: nothing fires, or is about to, while nothing is wrong.
    pub(crate) async fn calm(prometheus: &'a Prometheus) -> anyhow::Result<Self> {
        let end = Instant::now() + CALM;
        while Instant::now() < end {
            let alerts = prometheus.alerts().await?;
            ensure!(alerts.is_empty(), "nothing is wrong yet: {alerts:#?}");
            let broken = prometheus.broken_rules().await?;
            ensure!(broken.is_empty(), "these cannot be evaluated: {broken:#?}");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(Self { prometheus, fired: BTreeSet::new() })
    }

    /// Checks that none of these is there yet, brings the fault about, and waits until all fire.
    pub(crate) async fn fires(
        &mut self,
        alerts: &[&str],
        fault: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let before = self.prometheus.alerts().await?;
        let early: Vec<&Value> = before.iter().filter(|one| alerts.contains(&name(one))).collect();
        ensure!(early.is_empty(), "before its fault: {early:#?}");
        let begun = Instant::now();
        fault.await.with_context(|| format!("the fault for {alerts:?}"))?;
        let provoked = begun.elapsed();
        let mut last = Vec::new();
        let waited = eventually(format!("{alerts:?} fire"), FIRES, async || {
            last = self.prometheus.alerts().await.unwrap_or_default();
            alerts.iter().all(|wanted| {
                last.iter().any(|one| name(one) == *wanted && one["state"] == "firing")
            })
        });
        if waited.await.is_err() {
            let there: Vec<&str> = last.iter().map(name).collect();
            bail!("of {alerts:?} these are there: {there:?}");
        }
        println!("{alerts:?}: fault {provoked:.1?}, firing {:.1?}", begun.elapsed());
        for one in last.iter().filter(|one| alerts.contains(&name(one))) {
            says_all(one)?;
        }
        self.fired.extend(alerts.iter().map(|&name| name.to_owned()));
        Ok(())
    }

    /// Every alert of the rules has fired.
    pub(crate) fn has_fired(&self, alerts: &[String]) {
        let all: BTreeSet<String> = alerts.iter().cloned().collect();
        assert_eq!(self.fired, all, "an alert without its fault, or the other way round");
    }
}

/// The words of an alert name what it is about: no label in them is empty.
fn says_all(alert: &Value) -> anyhow::Result<()> {
    for note in ["summary", "description"] {
        let text = alert["annotations"][note].as_str().unwrap_or_default();
        let marks = ["<no value>", "<error", "%!", "  "];
        let whole = !text.is_empty()
            && text.trim() == text
            && !marks.iter().any(|mark| text.contains(mark))
            && !text.split(' ').any(|word| word.ends_with('/') || word == "/:");
        ensure!(whole, "a hole in the {note} of {alert:#}");
    }
    Ok(())
}
