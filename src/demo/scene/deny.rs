//! A DENY policy on identity takes effect within a second, and its end as quickly.

use anyhow::Context as _;
use serde_json::json;
use testbed::manifests;

use super::super::narrator::Narrator;
use super::super::stage::{SHOP, Stage};

/// The longest time from the file's change to its effect, in milliseconds.
const LIMIT_MS: u64 = 1_000;
const NAME: &str = "no-customer";

pub(super) async fn play(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let customer = &stage.customer;
    let principal = stage.pod("customer")?.principal();
    let spec = json!({
        "selector": {"matchLabels": {"app": "web"}},
        "rules": [manifests::from_principals(&[&principal])],
    });
    let mark = stage.mesh.node("node-a")?.mark();
    let before = customer.tally().await?;
    stage.mesh.apply(&manifests::authorization_policy((SHOP, NAME), "DENY", spec))?;
    let denied = customer.until("an order is refused", |tally| tally.failed > before.failed);
    let denied = narrator.wait("the policy takes effect", denied).await?;
    let first = denied.failures.iter().find(|failure| failure.at_ms >= before.now_ms);
    let first = first.context("the customer kept no failure")?;
    let took = first.at_ms.saturating_sub(before.now_ms);
    anyhow::ensure!(took <= LIMIT_MS, "the first order was refused only after {took} ms");
    narrator.fact(format!("DENY for {principal}: orders fail {took} ms later"));
    narrator.show([format!("customer: {}", first.why)]);

    // Orders that were under way when the policy came may still be answered.
    let settled = customer.until("the policy is in force", |t| t.failed >= denied.failed + 3);
    let settled = settled.await?;
    let all = customer.until("ten orders are refused", |t| t.failed >= settled.failed + 10);
    let all = narrator.wait("every order is refused", all).await?;
    let passed = all.ok - settled.ok;
    anyhow::ensure!(passed == 0, "{passed} orders passed although the policy was in force");
    let line = stage
        .mesh
        .node("node-a")?
        .logs("connection complete")
        .since(mark)
        .with("direction", "inbound")
        .with("policy", format!("{SHOP}/{NAME}"));
    let line = narrator.wait("reading the access log", line.into_future()).await?;
    let error = line.get("error").and_then(serde_json::Value::as_str).unwrap_or("?");
    narrator.fact("web's node names the policy in its access log");
    narrator.show([format!("policy={SHOP}/{NAME}"), format!("error={error:?}")]);

    let lifted = customer.tally().await?;
    stage.mesh.remove("AuthorizationPolicy", SHOP, NAME)?;
    let content = narrator.wait("the policy is lifted", customer.content(5)).await?;
    let took = content.streak_since_ms.saturating_sub(lifted.now_ms);
    anyhow::ensure!(took <= LIMIT_MS, "orders passed again only after {took} ms");
    narrator.fact(format!("the file is gone: orders pass again {took} ms later"));
    Ok(())
}
