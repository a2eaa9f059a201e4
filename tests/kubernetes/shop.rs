//! A shop of several programs in a real cluster: what people do with a mesh, and what befalls it.
//!
//! `./dev soak` runs the changes under traffic in their long form: `AMBIT_SOAK_ROLLOUTS`,
//! `AMBIT_SOAK_RESTARTS` and `AMBIT_SOAK_REBOOTS` say how often.

mod command;
mod open;
mod soak;
mod waypoint;
mod workloads;

use std::time::Duration;

use anyhow::Context as _;
use open::Shop;
use testbed::Testbed;

/// The program that every container of the shop runs.
const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// More than a change takes; less than anybody waits.
const SOON: Duration = Duration::from_secs(30);
/// Until pods run and are ready, with all cores busy.
const STARTED: Duration = Duration::from_mins(2);

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 600;
    async fn a_shop_uses_every_kind_of_workload_and_route(_bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open("shop").await?;
        workloads::play(&shop).await?;
        waypoint::play(&shop).await
    }
}

testbed::scenario! {
    #[ignore = "starts two kubelets, and a browser"]
    within 900;
    async fn the_command_and_the_pages_serve_a_cluster(bed: Testbed) -> anyhow::Result<()> {
        let mut shop = Shop::open("command").await?;
        command::play(&mut shop, &bed).await
    }
}

testbed::scenario! {
    #[ignore = "starts two kubelets; takes hours in its long form"]
    within 43_200;
    async fn changes_under_traffic_lose_nothing(_bed: Testbed) -> anyhow::Result<()> {
        let limit = soak::limit();
        let changes = tokio::time::timeout(limit, changes());
        changes.await.with_context(|| format!("not done within {limit:?}"))?
    }
}

async fn changes() -> anyhow::Result<()> {
    let mut shop = Shop::open("soak").await?;
    soak::rollouts(&shop, soak::times("ROLLOUTS", 2)).await?;
    soak::restarts(&shop, soak::times("RESTARTS", 1)).await?;
    soak::reboots(&mut shop, soak::times("REBOOTS", 1)).await
}
