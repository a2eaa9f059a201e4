//! A service is sent through a waypoint by its label; then policies can speak of paths.

use std::time::Duration;

use serde_json::json;
use testbed::{eventually, manifests};

use super::super::narrator::Narrator;
use super::super::stage::{SHOP, Stage};

/// The label that sends a service's traffic through a waypoint.
pub(super) const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// The waypoint's name.
pub(super) const NAME: &str = "waypoint";
/// A node with an instance of it.
pub(super) const NODE: &str = "node-b";
/// Instances of a waypoint whose Gateway says nothing of their number.
const INSTANCES: usize = 2;
/// How long things may take that take no second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn play(narrator: &Narrator, stage: &mut Stage) -> anyhow::Result<()> {
    let (status, books) = stage.curl("customer", "http://web.shop/admin").await?;
    anyhow::ensure!(status == 200, "without a waypoint /admin answered {status}: {books}");
    narrator.fact("before: whoever may connect may ask for anything, also /admin (200)");

    let began = std::time::Instant::now();
    let waypoint = stage.mesh.gateway(&format!("{SHOP}/{NAME}"))?;
    narrator.wait("a waypoint starts on demand", waypoint.ready(INSTANCES)).await?;
    let seconds = began.elapsed().as_secs_f64();
    narrator.fact(format!(
        "one object, a Gateway, asks for a waypoint: {INSTANCES} instances on {INSTANCES} nodes, \
         ready in {seconds:.1} s"
    ));

    let mark = stage.mesh.node(NODE)?.mark();
    let before = stage.customer.tally().await?;
    stage.label_service("orders", USE_WAYPOINT, NAME)?;
    let line = stage
        .mesh
        .node(NODE)?
        .logs("request")
        .since(mark)
        .with("path", "/orders")
        .with("response_code", 200)
        .with("src.identity", stage.pod("web")?.identity());
    narrator.wait("orders go through the waypoint", line.into_future()).await?;
    let settled = stage
        .customer
        .until("the customer is content", |tally| tally.ok >= before.ok + 30 && tally.streak >= 10);
    let after = narrator.wait("the customer is content", settled).await?;
    narrator.note("Service orders has the label:");
    narrator.show([format!("+ {USE_WAYPOINT}: {NAME}")]);
    let (orders, failed) = (after.ok - before.ok, after.failed - before.failed);
    narrator.fact(format!(
        "orders pass through the waypoint, which knows web; {failed} of {} failed meanwhile",
        orders + failed
    ));
    let whys = after.failures.iter().filter(|failure| failure.at_ms >= before.now_ms);
    narrator.show(whys.map(|failure| format!("customer: {}", failure.why)));

    narrator.wait("a policy on paths", paths(stage)).await?;
    narrator.fact("an ALLOW policy: web may GET /orders (200), but not /admin (403)");
    let (_, refused) = stage.curl("customer", "http://web.shop/admin").await?;
    let error: serde_json::Value = serde_json::from_str(&refused).unwrap_or_default();
    narrator.show([format!("web: {}", error["error"].as_str().unwrap_or("?"))]);
    around(narrator, stage).await
}

/// Applies a policy and waits until it has both of its effects.
async fn paths(stage: &Stage) -> anyhow::Result<()> {
    let principal = stage.pod("web")?.principal();
    let spec = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": "orders"}],
        "rules": [{
            "from": [{"source": {"principals": [principal]}}],
            "to": [{"operation": {"methods": ["GET"], "paths": ["/orders"]}}],
        }],
    });
    stage.mesh.apply(&manifests::authorization_policy((SHOP, "orders-paths"), "ALLOW", spec))?;
    answers(stage, "http://web.shop/admin", 403).await?;
    answers(stage, "http://web.shop/", 200).await
}

/// Waits until curl in the customer's pod is answered so.
pub(super) async fn answers(stage: &Stage, url: &str, wanted: u16) -> anyhow::Result<()> {
    let mut last = String::new();
    let waited = eventually(format!("{url} answers {wanted}"), PATIENCE, async || {
        match stage.curl("customer", url).await {
            Ok((status, _)) if status == wanted => true,
            Ok((status, body)) => {
                last = format!("{status} {body}");
                false
            }
            Err(error) => {
                last = format!("{error:#}");
                false
            }
        }
    });
    match waited.await {
        Ok(_) => Ok(()),
        Err(late) => Err(anyhow::anyhow!("{late}; the last answer was {last}")),
    }
}

/// Nobody walks around it: not by the pod's address either.
async fn around(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let orders = stage.pod("orders")?;
    let url = format!("http://{}:8080/admin", orders.ip4());
    match stage.curl("web", &url).await {
        Ok((200, body)) => anyhow::bail!("the pod's own address answered: {body}"),
        Ok((status, _)) => {
            narrator.fact(format!("not around it either, by the pod's own address: {status}"));
            narrator.show([url]);
        }
        Err(error) => {
            narrator.fact("not around it either, by the pod's own address: refused");
            narrator.show([url]);
            let words = error.to_string();
            narrator.show(words.lines().filter(|line| line.contains("curl:")).take(1));
        }
    }
    Ok(())
}
