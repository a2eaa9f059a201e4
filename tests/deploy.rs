//! Waypoints on demand: a Gateway and a label are all that a user writes.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use testbed::mesh::{Deployed, Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// The server by its service's name.
const STORE: &str = "http://store/";

/// A client on one node and a web server on the other, in one namespace.
struct Shop {
    mesh: Mesh,
    web: MeshPod,
    store: MeshPod,
}

impl Shop {
    async fn open(bed: &Testbed) -> anyhow::Result<Self> {
        let mesh = Mesh::start(bed, AMBIT).await?;
        let store = mesh.pod("shop/store").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let files = bed.directory("www")?;
        let server = ["-m", "http.server", "8080", "--bind", "::", "--directory"];
        store.serve(&store.command("python3").args(server).arg(&files), 8080).await?;
        let service = mesh.service("shop/store").named_port("http", 80, 8080).create()?;
        mesh.has_service(&service).await?;
        Ok(Self { mesh, web, store })
    }

    /// The status that a client gets; none if it is refused.
    async fn status(&self) -> anyhow::Result<Option<u16>> {
        let args = ["--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5"];
        let text = self.web.curl(args.iter().chain(&[STORE])).await?.text();
        Ok(text.parse().ok().filter(|status| *status != 0))
    }

    async fn answers(&self, what: &str, wanted: Option<u16>) -> anyhow::Result<()> {
        eventually(what, PATIENCE, async || self.status().await.ok() == Some(wanted)).await?;
        Ok(())
    }

    /// Waits until a request came to the server from the waypoint.
    async fn came_from(&self, waypoint: &Deployed) -> anyhow::Result<()> {
        self.store
            .ztunnel()?
            .logs("connection complete")
            .with("dst.workload", "store")
            .with("direction", "inbound")
            .with("src.identity", waypoint.identity())
            .await?;
        Ok(())
    }
}

testbed::scenario! {
    async fn a_gateway_alone_brings_a_waypoint_and_takes_it_along(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.mesh.use_waypoint("shop", Some("waypoint"))?;
        shop.mesh.has_waypoint(&shop.store, true).await?;
        // Fail closed: without a waypoint, and while it starts.
        shop.answers("refused without a waypoint", None).await?;
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        while shop.status().await? != Some(200) {
            assert!(shop.store.ztunnel()?.logs("connection complete").with("direction", "inbound")
                .all().iter().all(|line| line["src.identity"] != shop.web.identity()
                    || line.get("error").is_some()), "around the waypoint while it starts");
        }
        waypoint.ready(2).await?;
        assert_eq!(waypoint.processes().len(), 2, "two instances, one on each node");
        shop.came_from(&waypoint).await?;
        waypoint.delete()?;
        shop.answers("refused once it is gone", None).await?;
        eventually("its processes end", PATIENCE, async || waypoint.processes().is_empty()).await?;
        // And once more: the addresses are free again.
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        waypoint.ready(2).await?;
        shop.answers("served again", Some(200)).await?;
        Ok(())
    }

    async fn a_killed_instance_is_replaced_and_the_other_serves_meanwhile(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        waypoint.ready(2).await?;
        shop.mesh.use_waypoint("shop", Some("waypoint"))?;
        shop.mesh.has_waypoint(&shop.store, true).await?;
        shop.answers("served", Some(200)).await?;
        let before = waypoint.processes();
        let killed = *before.first().expect("two run");
        kill(killed, Signal::SIGKILL)?;
        eventually("served within a second", Duration::from_secs(1), async || {
            shop.status().await.ok() == Some(Some(200))
        }).await?;
        eventually("another takes its place", PATIENCE, async || {
            let now = waypoint.processes();
            now.len() == 2 && !now.contains(&killed)
        }).await?;
        waypoint.ready(2).await?;
        Ok(())
    }

    async fn a_waypoint_stays_where_it_is_when_control_comes_back(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        shop.mesh.use_waypoint("shop", Some("waypoint"))?;
        waypoint.ready(2).await?;
        shop.answers("served", Some(200)).await?;
        let before = waypoint.processes();
        shop.mesh.control().kill().await?;
        assert_eq!(shop.status().await?, Some(200), "without control");
        shop.mesh.control().start()?;
        shop.mesh.ready().await?;
        waypoint.ready(2).await?;
        assert_eq!(shop.status().await?, Some(200), "with control again");
        assert_eq!(waypoint.processes(), before, "the same instances");
        Ok(())
    }
}
