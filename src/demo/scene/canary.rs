//! An HTTPRoute gives one tenth of the payments to a new version; counted, not believed.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use shop::Tally;
use testbed::manifests;

use super::super::narrator::Narrator;
use super::super::stage::{SHOP, Stage};
use super::waypoint::{NAME, NODE, USE_WAYPOINT};

/// Orders that are counted.
const ORDERS: u64 = 300;
/// Of a hundred.
const SHARE: u64 = 10;
/// Four standard deviations of a tenth of 300, in orders: chance fails one run in 15,000.
const SPREAD: u64 = 21;
/// How long the orders may take.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) async fn play(narrator: &Narrator, stage: &mut Stage) -> anyhow::Result<()> {
    let backends = json!([
        {"name": "payments-v1", "port": 80, "weight": 100 - SHARE},
        {"name": "payments-v2", "port": 80, "weight": SHARE},
    ]);
    let rules = json!([{"backendRefs": backends}]);
    let mark = stage.mesh.node(NODE)?.mark();
    let before = stage.customer.tally().await?;
    stage.mesh.apply(&manifests::http_route((SHOP, "payments-canary"), "payments", &rules))?;
    stage.label_service("payments", USE_WAYPOINT, NAME)?;
    // The waypoint's line with the route's name: it is in force.
    let line = stage.mesh.node(NODE)?.logs("request").since(mark).with("path", "/pay");
    narrator.wait("payments go through the waypoint", line.into_future()).await?;
    let seen = |tally: &Tally| tally.versions.get("v2").is_some_and(|count| *count > 0);
    narrator.wait("the first order is paid at v2", stage.customer.until("v2", seen)).await?;
    narrator.wait("the customer is content", stage.customer.content(10)).await?;
    narrator.fact("an HTTPRoute for payments: v1 has weight 90, v2 has 10");

    let command = stage.pod("customer")?.command(std::env::current_exe()?).named("burst");
    let command = command.args(["shop", "traffic", "--rate", "100", "--count"]);
    let command = command.arg(ORDERS.to_string());
    let done = narrator.wait("300 orders are counted", command.run(PATIENCE)).await?.success()?;
    let tally: Tally = serde_json::from_str(done.trim()).context("the tally of the orders")?;
    anyhow::ensure!(tally.failed == 0, "{} orders failed: {:?}", tally.failed, tally.failures);
    let count = |version: &str| tally.versions.get(version).copied().unwrap_or(0);
    let (one, two) = (count("v1"), count("v2"));
    anyhow::ensure!(one + two == ORDERS, "{ORDERS} orders were paid at {:?}", tally.versions);
    let expected = ORDERS * SHARE / 100;
    anyhow::ensure!(
        two.abs_diff(expected) <= SPREAD,
        "v2 took {two} of {ORDERS} orders; {expected} would be right, {SPREAD} more or less"
    );
    narrator.fact(format!(
        "of {ORDERS} orders {one} were paid at v1 and {two} at v2: {:.1} %",
        two as f64 * 100.0 / ORDERS as f64
    ));
    let after = stage.customer.tally().await?;
    narrator.note(&format!(
        "The steady customer meanwhile: {} orders, {} failed.",
        after.ok - before.ok,
        after.failed - before.failed
    ));
    Ok(())
}
