//! Many connections, many bytes, certificates that end under way, and memory when idle.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Testbed;
use testbed::mesh::{Mesh, Pair, Ztunnel};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const LONG: Duration = Duration::from_secs(100);

/// Serial numbers of the certificates that a ztunnel has now.
async fn serials(ztunnel: &Ztunnel) -> anyhow::Result<BTreeSet<String>> {
    let dump = ztunnel.config_dump().await?;
    let chains = dump["certificates"].as_array().into_iter().flatten();
    let leaves = chains.filter_map(|item| item["certChain"][0]["serialNumber"].as_str());
    Ok(leaves.map(str::to_owned).collect())
}

testbed::scenario! {
    async fn a_thousand_connections_are_open_at_once(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let open = web.load("open", store.at4(7))?.args(["--connections", "1000"]).piped();
        let mut open = open.spawn()?;
        open.logs("1000 open", LONG).await?;
        let dump = store.ztunnel()?.config_dump().await?;
        let inbound = dump["workloadState"][store.uid()]["connections"]["inbound"].as_array();
        assert_eq!(inbound.map(Vec::len), Some(1000));
        // Each says another line and is answered.
        drop(open.stdin());
        let report: Value = serde_json::from_str(
            open.wait(LONG).await?.success()?.lines().last().unwrap_or_default())?;
        assert_eq!(report["failed"], 0, "{report}");
        Ok(())
    }

    async fn a_gibibyte_each_way_at_once_is_exact(bed: Testbed) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let echo = web.load("echo", store.at4(7))?.args(["--bytes", "1073741824"]);
        let report: Value = serde_json::from_str(&echo.run(LONG).await?.success()?)?;
        assert_eq!(report["bytes"], 2_147_483_648_u64, "{report}");
        println!("{report}");
        Ok(())
    }

    async fn certificates_rotate_under_load_without_a_failure(bed: Testbed) -> anyhow::Result<()> {
        let short = Mesh::options(AMBIT).node_env("SECRET_TTL", "8s");
        let Pair { web, store, .. } = Pair::with(&bed, &short).await?;
        let mut kept = web.chat(store.at4(7)).await?;
        let (mut client, mut server) = (BTreeSet::new(), BTreeSet::new());
        let (start, mut requests) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(14) {
            for _ in 0..20 {
                let seen = web.is_seen_as(store.at4(7)).await;
                assert_eq!(seen?, web.ip4().to_string(), "after {requests} requests");
                requests += 1;
            }
            client.extend(serials(&web.ztunnel()?).await?);
            server.extend(serials(&store.ztunnel()?).await?);
        }
        kept.say("still there?").await?;
        println!("{requests} requests, {} and {} certificates", client.len(), server.len());
        assert!(client.len() >= 3 && server.len() >= 3, "{client:?} {server:?}");
        Ok(())
    }

    /// The program under test holds every daemon and is not optimised for size, so what counts
    /// here is what ztunnel allocates; the thin program's whole resident memory is measured
    /// by the benchmark.
    async fn an_idle_ztunnel_with_two_workloads_is_small(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.pod("shop/other").on("node-b").enrolled().await?;
        web.is_seen_as(store.at4(7)).await?;
        let memory = store.ztunnel()?.memory()?;
        println!("{memory:?}");
        assert!(memory.anonymous < 12 << 20, "{memory:?}");
        Ok(())
    }
}
