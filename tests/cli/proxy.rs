//! What one proxy knows, and what two know differently.

use serde_json::json;
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::Pair;
use testbed::{Testbed, eventually};

use crate::said::{AMBIT, ambit};

testbed::scenario! {
    async fn a_proxy_shows_what_it_knows(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, service } = Pair::enrolled(&bed, AMBIT).await?;
        let waypoint = mesh.gateway("shop/waypoint")?;
        waypoint.ready(2).await?;
        let spec = json!({"selector": {"matchLabels": {"app": "store"}},
            "rules": [from_principals(&["cluster.local/ns/shop/sa/nobody"])]});
        mesh.apply(&authorization_policy(("shop", "no-one"), "DENY", spec))?;
        mesh.policy_is_known("shop/no-one", true).await?;
        let _open = web.chat(store.at4(7)).await?;

        let said = ambit(&bed, "proxy workloads node-a").await?.ends(0);
        said.has(&["shop", "store", &store.ip4().to_string(), "node-b", "HBONE"]);
        let said = ambit(&bed, "proxy services node-b").await?.ends(0);
        said.has(&["shop", "store", &service.at4(80).ip().to_string(), "1"]);
        let said = ambit(&bed, "proxy policies node-b -o wide").await?.ends(0);
        said.has(&["shop", "no-one", "Deny", "WorkloadSelector", "nobody"]);
        let said = ambit(&bed, "proxy certificates node-b -o json").await?.ends(0).json();
        let leaf = said["certificates"].as_array().into_iter().flatten()
            .find(|row| row["identity"] == store.identity().as_str() && row["kind"] == "leaf");
        assert!(leaf.and_then(|row| row["secondsLeft"].as_i64()).is_some_and(|left| left > 3600), "{said:#}");
        let said = ambit(&bed, "proxy connections node-b").await?.ends(0);
        said.has(&["shop", "store", "inbound", &web.ip4().to_string(), "HBONE"]);
        let said = ambit(&bed, "proxy connections node-a").await?.ends(0);
        said.has(&["shop", "web", "outbound"]);
        // A waypoint, by its Gateway.
        let said = ambit(&bed, "proxy workloads shop/waypoint").await?.ends(0);
        said.has(&["shop", "store"]);
        ambit(&bed, "proxy certificates shop/waypoint").await?.ends(0)
            .has(&[&waypoint.identity(), "leaf", "Available", "23h"]);
        ambit(&bed, "proxy workloads node-c").await?.ends(4).complains("did you mean node-a or node-b?");
        ambit(&bed, "proxy workloads").await?.ends(2).complains("which proxy?");
        Ok(())
    }

    async fn log_levels_change_and_come_back(bed: Testbed) -> anyhow::Result<()> {
        let _pair = Pair::plain(&bed, AMBIT).await?;
        ambit(&bed, "proxy log node-a").await?.ends(0).has(&["ztunnel on node-a", "info"]);
        ambit(&bed, "proxy log node-a --level warn,ztunnel=debug").await?.ends(0)
            .has(&["ztunnel=debug"]);
        ambit(&bed, "proxy log node-b").await?.ends(0).has(&["info"]);
        ambit(&bed, "proxy log node-a --reset").await?.ends(0).has(&["info"]);
        ambit(&bed, "proxy log node-a --level loud").await?.ends(1).complains("loud");
        ambit(&bed, "proxy log node-a --level a&reset").await?.ends(2);
        Ok(())
    }

    async fn a_difference_between_two_is_told_and_goes(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, .. } = Pair::enrolled(&bed, AMBIT).await?;
        ambit(&bed, "proxy diff node-a node-b").await?.ends(0).has(&["know the same"]);
        ambit(&bed, "proxy diff node-a").await?.ends(0).has(&["know the same"]);
        // A proxy that hears nothing any more knows what it knew.
        let stopped = mesh.node("node-a")?.ztunnel();
        stopped.signal(nix::sys::signal::Signal::SIGSTOP)?;
        mesh.pod("shop/late").on("node-b").await?;
        eventually("node-b knows it", testbed::mesh::PATIENCE, async || {
            ambit(&bed, "proxy workloads node-b").await.is_ok_and(|said| said.out.contains("late"))
        })
        .await?;
        ambit(&bed, "proxy diff node-a node-b").await?.ends(1).complains("does not answer");
        // Its supervisor may have put another into its place.
        let _ = stopped.signal(nix::sys::signal::Signal::SIGCONT);
        eventually("they know the same again", testbed::mesh::PATIENCE, async || {
            ambit(&bed, "proxy diff node-a node-b").await.is_ok_and(|said| said.code == Some(0))
        })
        .await?;
        mesh.control().kill().await?;
        ambit(&bed, "proxy diff node-a").await?.ends(1).complains("no control plane");
        Ok(())
    }
}
