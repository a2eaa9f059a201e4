//! A Prometheus, started as an operator would, and what it answers.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use testbed::mesh::{PATIENCE, page};
use testbed::{Process, Testbed, eventually};

use crate::shipped::{self, Query};

const PORT: u16 = 9090;
const SECOND: &str = "1s";

/// The server; it ends with the value.
pub(crate) struct Prometheus {
    bed: Testbed,
    started: f64,
    _process: Process,
}

pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Everything but letters and digits as `%XX`.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

impl Prometheus {
    /// Starts it with the shipped rules and scrape configuration, and waits until every target
    /// but those that are to come later is up.
    pub(crate) async fn start(bed: &Testbed, targets: &[Value]) -> anyhow::Result<Self> {
        let directory = bed.directory("prometheus")?;
        // JSON is YAML.
        let rules = directory.join("rules.yaml");
        fs::write(&rules, shipped::impatient_rules()?.to_string())?;
        let config = json!({
            "global": {"scrape_interval": SECOND, "scrape_timeout": SECOND, "evaluation_interval": SECOND},
            "rule_files": [rules],
            "scrape_configs": shipped::scrape(targets)?,
        });
        let file = directory.join("prometheus.yaml");
        fs::write(&file, config.to_string())?;
        let mut process = bed
            .command("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{PORT}"))
            .spawn()
            .context("Prometheus is missing; ./dev test installs it")?;
        process.logs("Server is ready", PATIENCE).await?;
        let prometheus = Self { bed: bed.clone(), started: now(), _process: process };
        let wanted = targets.len() - 1;
        eventually("the targets are up", PATIENCE, async || {
            prometheus.query("up == 1").await.is_ok_and(|up| up.len() == wanted)
        })
        .await?;
        Ok(prometheus)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
        let page = page::ask(self.bed.infra(), address, "GET", &format!("/api/v1/{path}")).await?;
        let mut answer: Value = serde_json::from_str(&page.body).context(page.body.clone())?;
        ensure!(answer["status"] == "success", "{path}: {}", page.body);
        Ok(answer["data"].take())
    }

    /// The series that an expression has now.
    pub(crate) async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let data = self.ask(&format!("query?query={}", encoded(expression))).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Alerts that are pending or firing.
    pub(crate) async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.ask("alerts").await?["alerts"].as_array().cloned().unwrap_or_default())
    }

    /// What the rules say that could not be evaluated.
    pub(crate) async fn broken_rules(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.ask("rules").await?;
        let groups = data["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules.filter(|rule| rule["health"] == "err").cloned().collect())
    }

    /// Waits until every query has data, a number among them.
    pub(crate) async fn answers(&self, queries: &[&Query], limit: Duration) -> anyhow::Result<()> {
        let mut left: Vec<&Query> = queries.to_vec();
        let mut failed = None;
        let waited = eventually("every query has data", limit, async || {
            let mut without = Vec::new();
            for query in left.drain(..) {
                match self.query(&query.expression).await {
                    Ok(series) if series.iter().any(has_number) => {}
                    Ok(_) => without.push(query),
                    Err(error) => failed = Some(error.context(format!("{query:?}"))),
                }
            }
            left = without;
            left.is_empty() || failed.is_some()
        })
        .await;
        if let Some(error) = failed {
            return Err(error);
        }
        if waited.is_err() {
            bail!("no data: {left:#?}");
        }
        Ok(())
    }

    /// Fails if a query had no data at any time since the start.
    pub(crate) async fn answered(&self, queries: &[&Query]) -> anyhow::Result<()> {
        let mut without = Vec::new();
        for query in queries {
            let (asked, end) = (encoded(&query.expression), now());
            let path = format!("query_range?query={asked}&start={}&end={end}&step=1", self.started);
            let data = self.ask(&path).await?;
            if data["result"].as_array().is_none_or(Vec::is_empty) {
                without.push(query);
            }
        }
        ensure!(without.is_empty(), "no data at any time: {without:#?}");
        Ok(())
    }
}

/// A histogram without requests has none.
fn has_number(series: &Value) -> bool {
    series["value"][1].as_str().is_some_and(|value| value != "NaN")
}
