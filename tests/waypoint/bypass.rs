//! What a waypoint sees and decides, and that no way leads around it.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::{MeshPod, PATIENCE};
use testbed::{Testbed, eventually};

use crate::peer;
use crate::shop::{Shop, get};

/// From the change of a file to its effect everywhere.
const EFFECT: Duration = Duration::from_secs(2);

testbed::scenario! {
    async fn a_waypoint_knows_the_caller_and_decides_by_path(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let capture = shop.mesh.link()?.capture()?;
        let waypoint = shop.bind().await?;
        assert_eq!(get(&shop.web, "http://store/admin").await?, Some(200));
        let spec = json!({
            "targetRefs": [{"kind": "Service", "group": "", "name": "store"}],
            "rules": [{
                "from": from_principals(&[&shop.web.principal()])["from"],
                "to": [{"operation": {"methods": ["GET"], "paths": ["/orders"]}}],
            }],
        });
        shop.mesh.apply(&authorization_policy(("shop", "orders-only"), "ALLOW", spec))?;
        shop.until("the policy is in force", &shop.web, "http://store/admin", Some(403)).await?;
        assert_eq!(get(&shop.web, "http://store/orders").await?, Some(200));
        let other = shop.mesh.pod("shop/other").on("node-a").enrolled().await?;
        assert_eq!(get(&other, "http://store/orders").await?, Some(403));
        // The waypoint knows the client; the server's proxy knows the waypoint.
        shop.mesh.node("node-b")?.logs("request").with("path", "/orders")
            .with("response_code", 200).with("src.identity", shop.web.identity()).await?;
        shop.store.ztunnel()?.logs("connection complete").with("dst.workload", "store")
            .with("direction", "inbound").with("src.identity", waypoint.identity()).await?;
        let recording = capture.stop().await?;
        recording.holds_only_tls_to(15008)?;
        for secret in ["/orders", "HTTP/1.1", "one book"] {
            assert!(!recording.contains(secret.as_bytes()), "{secret} is on the wire");
        }
        Ok(())
    }

    async fn no_way_leads_around_a_waypoint(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let stranger = shop.mesh.pod("garage/stranger").on("node-a").enrolled().await?;
        let neighbour = shop.mesh.pod("garage/neighbour").on("node-b").enrolled().await?;
        let outsider = shop.mesh.pod("legacy/outsider").on("node-a").await?;
        for client in [&shop.web, &stranger, &neighbour, &outsider] {
            assert_eq!(get(client, &shop.by_pod()).await?, Some(200), "before");
        }
        let waypoint = shop.bind().await?;
        // Plaintext reaches the server's proxy without a waypoint, and ends there.
        shop.until("plaintext is refused", &outsider, &shop.by_pod(), None).await?;
        let mark = shop.store.ztunnel()?.mark();
        let by_pod6 = format!("http://{}/orders", shop.store.at6(8080));
        for client in [&shop.web, &stranger, &neighbour] {
            for url in ["http://store.shop/orders", &shop.by_pod(), &by_pod6] {
                let status = get(client, url).await?;
                assert_eq!(status, Some(200), "{} by {url}", client.full_name());
            }
        }
        // All of these came from the waypoint.
        let inbound = shop.store.ztunnel()?.logs("connection complete").since(mark)
            .with("dst.workload", "store").with("direction", "inbound");
        eventually("the server's proxy logs them", PATIENCE, async || !inbound.all().is_empty())
            .await?;
        for line in inbound.all() {
            assert_eq!(line["src.identity"], waypoint.identity(), "{line}");
        }
        Ok(())
    }

    async fn a_client_that_dials_the_server_s_proxy_itself_is_refused(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let certificate = Arc::new(peer::certificate(&shop.mesh, &shop.web).await?);
        let authority = shop.store.at4(8080).to_string();
        let open = async || peer::status(&peer::tunnel(&certificate, &shop.store, &authority).await);
        assert_eq!(open().await, Some(200), "before");
        shop.bind().await?;
        eventually("its tunnel is refused", EFFECT, async || open().await == Some(401)).await?;
        Ok(())
    }

    async fn a_missing_or_starting_waypoint_means_refusal(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.mesh.use_waypoint("shop", Some("waypoint"))?;
        shop.mesh.has_waypoint(&shop.store, true).await?;
        for url in ["http://store/orders", &shop.by_pod()] {
            shop.until("refused without a waypoint", &shop.web, url, None).await?;
        }
        shop.web.ztunnel()?.logs("connection complete").with("level", "error")
            .with("direction", "outbound").await?;
        // It comes: until it serves, answers are refusals; then they come through it.
        let mark = shop.store.ztunnel()?.mark();
        let waypoint = shop.mesh.waypoint("shop/waypoint", "node-b").await?;
        for url in ["http://store/orders", &shop.by_pod()] {
            shop.until("served once there is one", &shop.web, url, Some(200)).await?;
        }
        only_from(&shop, &waypoint, mark).await?;
        Ok(())
    }

    async fn a_killed_waypoint_means_refusal_until_it_is_back(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let waypoint = shop.bind().await?;
        let mark = shop.store.ztunnel()?.mark();
        for url in ["http://store/orders", &shop.by_pod()] {
            // It is started again quickly; a request between its death and that is refused.
            eventually("a request meets no waypoint", PATIENCE, async || {
                for pid in waypoint.netns().processes() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                get(&shop.web, url).await.is_ok_and(|status| status.is_none_or(|s| s >= 500))
            }).await?;
        }
        for url in ["http://store/orders", &shop.by_pod()] {
            shop.until("served when it is back", &shop.web, url, Some(200)).await?;
        }
        only_from(&shop, &waypoint, mark).await?;
        Ok(())
    }
}

/// Whatever reached the server since a mark came from its waypoint, and something did.
async fn only_from(
    shop: &Shop,
    waypoint: &MeshPod,
    mark: testbed::mesh::Mark,
) -> anyhow::Result<()> {
    let inbound = shop.store.ztunnel()?.logs("connection complete").since(mark);
    let inbound = inbound.with("dst.workload", "store").with("direction", "inbound");
    let from_waypoint = inbound.clone().with("src.identity", waypoint.identity());
    eventually("the server's proxy logs it", PATIENCE, async || !from_waypoint.all().is_empty())
        .await?;
    for line in inbound.all() {
        let allowed = line["src.identity"] == waypoint.identity() || line.get("error").is_some();
        anyhow::ensure!(allowed, "around the waypoint: {line}");
    }
    Ok(())
}
