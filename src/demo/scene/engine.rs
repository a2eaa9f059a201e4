//! External authorization: the user's engine decides, and fails closed when it is dead.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{eventually, manifests};

use super::super::narrator::Narrator;
use super::super::stage::{SHOP, Stage};
use super::waypoint::{NODE, answers};

const PROVIDER: &str = "shop-policy";
const SHOP_URL: &str = "http://web.shop/";
/// How long a changed file may take to be read and to have its effect.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn play(narrator: &Narrator, stage: &mut Stage) -> anyhow::Result<()> {
    narrator.wait("the policy engine starts", stage.start_engine()).await?;
    let mark = stage.mesh.node(NODE)?.mark();
    stage.mesh.apply(&mesh_configuration())?;
    let spec = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": "orders"}],
        "provider": {"name": PROVIDER},
        "rules": [{}],
    });
    stage.mesh.apply(&manifests::authorization_policy((SHOP, "ask-engine"), "CUSTOM", spec))?;
    let asked = stage
        .mesh
        .node(NODE)?
        .logs("external authorization")
        .since(mark)
        .with("path", "/orders")
        .with("decision", "ok");
    let line = narrator.wait("the waypoint asks the engine", asked.into_future()).await?;
    narrator.wait("the customer is content", stage.customer.content(10)).await?;
    narrator.fact("the waypoint asks the engine about each request: ext_authz, its own pod");
    narrator.show([audit(&line)]);

    let allowed = std::fs::read_to_string(&stage.relations)?;
    std::fs::write(&stage.relations, "# nobody may anything\n")?;
    narrator.wait("the relationship is taken away", answers(stage, SHOP_URL, 403)).await?;
    std::fs::write(&stage.relations, allowed)?;
    narrator.wait("the relationship is back", answers(stage, SHOP_URL, 200)).await?;
    narrator.fact("manifests/relations.txt without \"shop/web reads orders:/orders\": 403");

    killed(narrator, stage).await
}

async fn killed(narrator: &Narrator, stage: &mut Stage) -> anyhow::Result<()> {
    if let Some(engine) = stage.engine.take() {
        engine.kill().await?;
    }
    let dead = stage.customer.tally().await?;
    let refused = stage.customer.until("orders are refused", |t| t.failed >= dead.failed + 10);
    narrator.wait("the engine is dead", refused).await?;
    let before = stage.customer.tally().await?;
    let (status, body) = stage.curl("customer", SHOP_URL).await?;
    anyhow::ensure!(status == 403, "with a dead engine an order was answered {status}: {body}");
    let closed =
        stage.customer.until("more orders are refused", |tally| tally.failed >= before.failed + 5);
    let closed = closed.await?;
    anyhow::ensure!(closed.ok == before.ok, "orders passed although the engine is dead");
    narrator.fact("the engine is killed: nobody passes, 403 (fails closed)");

    stage.start_engine().await?;
    let back = stage.customer.tally().await?;
    let content = narrator.wait("the engine is back", stage.customer.content(10)).await?;
    let took = content.streak_since_ms.saturating_sub(back.now_ms);
    narrator.fact(format!("it is started again: orders pass after {took} ms"));
    settled(stage).await
}

/// The breaker and pools of the waypoint are as before: a direct question passes, too.
async fn settled(stage: &Stage) -> anyhow::Result<()> {
    let good = async || matches!(stage.curl("customer", SHOP_URL).await, Ok((200, _)));
    eventually("an order passes with the engine back", PATIENCE, good).await?;
    Ok(())
}

fn mesh_configuration() -> Value {
    let engine = json!({
        "service": format!("policy.{SHOP}.svc.cluster.local"),
        "port": 9000,
        // Ambit's default of 50 ms is for machines that do nothing else.
        "timeout": "0.5s",
    });
    let mesh = json!({"extensionProviders": [{"name": PROVIDER, "envoyExtAuthzGrpc": engine}]});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": manifests::yaml(&mesh)}})
}

fn audit(line: &Value) -> String {
    let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or("?");
    let who = text("src.identity").trim_start_matches("spiffe://cluster.local");
    format!("audit: {} {who} {} {}", text("decision"), text("method"), text("path"))
}
