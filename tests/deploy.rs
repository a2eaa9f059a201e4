//! Waypoints on demand: a Gateway and a label are all that a user writes.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::mesh::{Deployed, Mesh, MeshPod, PATIENCE};
use testbed::{Process, Testbed, eventually};

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

    /// Waits until every ztunnel lets nobody but its waypoint to the server, or everybody.
    async fn is_guarded(&self, guarded: bool) -> anyhow::Result<()> {
        let uid = self.store.workload();
        eventually(format!("the server is guarded: {guarded}"), PATIENCE, async || {
            self.mesh
                .every_dump(|dump| {
                    let workloads = dump["workloads"].as_array().into_iter().flatten();
                    let mut own = workloads.filter(|workload| workload["uid"] == uid.as_str());
                    let text = own.next().map(ToString::to_string).unwrap_or_default();
                    text.contains("ambit_waypoint_") == guarded
                })
                .await
        })
        .await?;
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

/// Requests in a row, each on a connection of its own, until it is stopped.
struct Steady(Vec<Process>);

impl Steady {
    /// Three at once.
    fn start(client: &MeshPod) -> anyhow::Result<Self> {
        let script = format!(
            "while :; do curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 10 {STORE}; done"
        );
        let clients = (0..3).map(|_| client.command("sh").args(["-c", &script]).spawn());
        Ok(Self(clients.collect::<Result<_, _>>()?))
    }

    /// Answers so far: all of them, and those that are not 200.
    fn answers(&self) -> (usize, Vec<String>) {
        let text: String = self.0.iter().map(Process::stdout).collect();
        let bad = text.lines().filter(|line| *line != "200").map(str::to_owned).collect();
        (text.lines().count(), bad)
    }

    /// Waits for so many further answers.
    async fn further(&self, count: usize) -> anyhow::Result<()> {
        let (before, _) = self.answers();
        let what = format!("{count} further answers");
        eventually(what, PATIENCE, async || self.answers().0 >= before + count).await?;
        Ok(())
    }
}

/// Kills one of a waypoint's instances.
fn kill_one(waypoint: &Deployed) -> anyhow::Result<Pid> {
    let one = *waypoint.processes().first().expect("two run");
    kill(one, Signal::SIGKILL)?;
    Ok(one)
}

/// Waits until two instances serve again, and the killed one is not among them.
async fn is_replaced(waypoint: &Deployed, killed: Pid) -> anyhow::Result<()> {
    eventually("another takes its place", PATIENCE, async || {
        let now = waypoint.processes();
        now.len() == 2 && !now.contains(&killed)
    })
    .await?;
    waypoint.ready(2).await?;
    Ok(())
}

testbed::scenario! {
    async fn a_label_comes_and_goes_under_traffic_without_a_lost_request(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        waypoint.ready(2).await?;
        let steady = Steady::start(&shop.web)?;
        for _ in 0..3 {
            steady.further(20).await?;
            shop.mesh.use_waypoint("shop", Some("waypoint"))?;
            shop.is_guarded(true).await?;
            steady.further(40).await?;
            shop.mesh.use_waypoint("shop", None)?;
            shop.is_guarded(false).await?;
            shop.mesh.has_waypoint(&shop.store, false).await?;
            steady.further(20).await?;
        }
        let (all, bad) = steady.answers();
        assert!(bad.is_empty(), "of {all} answers these are not 200: {bad:?}");
        shop.came_from(&waypoint).await?;
        Ok(())
    }

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
        let killed = kill_one(&waypoint)?;
        eventually("served within a second", Duration::from_secs(1), async || {
            shop.status().await.ok() == Some(Some(200))
        }).await?;
        is_replaced(&waypoint, killed).await
    }

    async fn a_waypoint_outlives_its_supervisor_unless_nobody_wants_it(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        let waypoint = shop.mesh.gateway("shop/waypoint")?;
        let unwanted = shop.mesh.gateway("shop/unwanted")?;
        for one in [&waypoint, &unwanted] {
            one.ready(2).await?;
        }
        shop.mesh.use_waypoint("shop", Some("waypoint"))?;
        shop.mesh.has_waypoint(&shop.store, true).await?;
        shop.answers("served", Some(200)).await?;
        let before = waypoint.processes();
        for node in shop.mesh.nodes() {
            node.kill().await?;
        }
        assert_eq!(shop.status().await?, Some(200), "without supervisors");
        unwanted.delete()?;
        for node in shop.mesh.nodes() {
            node.start()?;
        }
        shop.mesh.ready().await?;
        eventually("what nobody wants ends", PATIENCE, async || unwanted.processes().is_empty())
            .await?;
        waypoint.ready(2).await?;
        assert_eq!(shop.status().await?, Some(200));
        assert_eq!(waypoint.processes(), before, "the same instances");
        let killed = kill_one(&waypoint)?;
        is_replaced(&waypoint, killed).await
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
