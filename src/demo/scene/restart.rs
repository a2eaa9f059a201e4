//! A node's ztunnel dies of SIGKILL; its node starts it again and new connections work.

use std::time::Duration;

use testbed::eventually;

use super::super::narrator::Narrator;
use super::super::stage::Stage;

const NODE: &str = "node-a";
/// New connections work again within this time, in milliseconds.
const LIMIT_MS: u64 = 2_000;
/// How long we look for the new process.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn play(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let ztunnel = stage.mesh.node(NODE)?.ztunnel();
    let old = ztunnel.pid()?;
    let before = stage.customer.content(1).await?;
    ztunnel.kill()?;
    let again = eventually("ztunnel runs again", PATIENCE, async || {
        ztunnel.pid().is_ok_and(|pid| pid != old)
    });
    narrator.wait("the node starts its ztunnel again", again).await?;
    // Twenty good answers in a row that began after the kill.
    let well = stage.customer.until("the customer is served again", |tally| {
        tally.ok >= before.ok + 20 && tally.streak >= 20
    });
    let well = narrator.wait("the customer comes back", well).await?;
    let outage = well.streak_since_ms.saturating_sub(before.now_ms);
    let failed = well.failed - before.failed;
    anyhow::ensure!(
        failed == 0 || outage <= LIMIT_MS,
        "new connections worked again only after {outage} ms"
    );
    narrator.fact(format!("ztunnel of {NODE} killed with SIGKILL, and started by its node"));
    let words = if failed == 0 {
        "no order failed".to_owned()
    } else {
        format!("{failed} orders failed, new ones pass again after {outage} ms")
    };
    narrator.fact(words);
    Ok(())
}
