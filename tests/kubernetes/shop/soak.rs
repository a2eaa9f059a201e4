//! Changes under traffic: rollouts of what is called, restarts of every part of the mesh, and
//! nodes that die.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use testbed::eventually;

use super::open::{IMAGE, Shop, Talk, WAYPOINT, passed, tally};
use super::{SOON, STARTED};

/// Requests a second during rollouts.
const RATE: u32 = 500;
/// Requests a second during restarts.
const CALM: u32 = 100;
/// How long new connections may fail while a part of the mesh restarts.
const OUTAGE: Duration = Duration::from_secs(2);
/// What a restart may take: a ztunnel waits 30 s for its connections.
const RESTART: Duration = Duration::from_mins(4);
/// Connections that stay open while something restarts.
const STREAMS: u32 = 20;

/// Where a customer's requests end.
const TAKE: &str = "http://inventory.shop/take";

/// What no packet between pods may show.
const MARKS: [&str; 2] = ["GET /take", "x-request-id"];

/// A server whose connections stay open, once by itself and once behind a waypoint.
const ECHO: &str = "
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: shop, labels: {app: echo}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 0
  containers:
    - {name: echo, image: IMAGE, imagePullPolicy: Never, command: [bed-echo, --port, '7000']}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop}
spec: {selector: {app: echo}, ports: [{name: tcp, port: 7000, appProtocol: tcp}]}
";

/// The variables `AMBIT_SOAK_…` that ask for the long form.
const LONG: [&str; 3] = ["ROLLOUTS", "RESTARTS", "REBOOTS"];

/// How long everything may take: what hangs in the short form is not to hang for hours.
pub(super) fn limit() -> Duration {
    let asked = |name: &&str| std::env::var_os(format!("AMBIT_SOAK_{name}")).is_some();
    if LONG.iter().any(asked) { Duration::from_hours(11) } else { Duration::from_mins(10) }
}

/// How often, by the variable `AMBIT_SOAK_NAME`.
pub(super) fn times(name: &str, short: u32) -> u32 {
    let given = std::env::var(format!("AMBIT_SOAK_{name}")).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Rollouts of a service that is called all the time: no request fails.
pub(super) async fn rollouts(shop: &Shop, times: u32) -> anyhow::Result<()> {
    let traffic = shop.traffic(TAKE, RATE, None)?;
    for time in 1..=times {
        let began = Instant::now();
        shop.run(&["rollout", "restart", "deployment/inventory", "-n", "shop"])?;
        shop.rolled_out("deployment/inventory")?;
        eprintln!("rollout {time} of {times}: {:.1} s", began.elapsed().as_secs_f64());
    }
    gone(shop, "shop", "inventory").await?;
    let tally = tally(traffic).await?;
    eprintln!("{} requests, {} failed, p99 {} us", tally.ok, tally.failed, tally.p99_us);
    let lost = || format!("{} of {} failed: {:?}", tally.failed, tally.ok, tally.failures);
    ensure!(tally.ok > u64::from(RATE), "only {} requests were answered", tally.ok);
    ensure!(tally.failed == 0, "{}", lost());
    Ok(())
}

/// A part of the mesh, and whether its restart may end connections that are open.
struct Part {
    namespace: &'static str,
    workload: &'static str,
    carries: bool,
}

/// Control and agent carry nothing. A ztunnel and a waypoint that go wait 25 s and 30 s for what is
/// open, and then end it.
const PARTS: [Part; 4] = [
    Part { namespace: "ambit-system", workload: "deployment/ambit-control", carries: false },
    Part { namespace: "ambit-system", workload: "daemonset/ambit-node-agent", carries: false },
    Part { namespace: "ambit-system", workload: "daemonset/ambit-ztunnel", carries: true },
    Part { namespace: "shop", workload: "deployment/entry", carries: true },
];

/// Restarts of every part of the mesh, each under requests and under open connections.
pub(super) async fn restarts(shop: &Shop, times: u32) -> anyhow::Result<()> {
    shop.apply(&ECHO.replace("IMAGE", IMAGE))?;
    shop.apply(&WAYPOINT.replace("NAME", "entry"))?;
    let label = "istio.io/use-waypoint=entry";
    let there = async || shop.get("deployment", "entry").is_object();
    eventually("the waypoint is made", SOON, there).await?;
    shop.rolled_out("deployment/entry")?;
    shop.run(&["wait", "--for=condition=Ready", "pod/echo", "-n", "shop", "--timeout=60s"])?;
    for time in 1..=times {
        for part in &PARTS {
            if part.workload == "deployment/entry" {
                shop.run(&[
                    "label",
                    "service",
                    "inventory",
                    "echo",
                    "-n",
                    "shop",
                    label,
                    "--overwrite",
                ])?;
                let way = async || via_waypoint(shop).unwrap_or(false);
                eventually("the way leads through the waypoint", SOON, way).await?;
            }
            restart(shop, part).await.with_context(|| format!("{} {time}", part.workload))?;
        }
        shop.run(&[
            "label",
            "service",
            "inventory",
            "echo",
            "-n",
            "shop",
            "istio.io/use-waypoint-",
        ])?;
        shop.answers("customer", TAKE, 200).await?;
    }
    Ok(())
}

/// Whether a request of now goes through the waypoint.
fn via_waypoint(shop: &Shop) -> anyhow::Result<bool> {
    let before = passed(shop, "entry", "inventory")?;
    shop.status("customer", TAKE);
    Ok(passed(shop, "entry", "inventory")? > before)
}

async fn restart(shop: &Shop, part: &Part) -> anyhow::Result<()> {
    let traffic = shop.traffic(TAKE, CALM, None)?;
    let streams = Streams::open(shop)?;
    let began = Instant::now();
    shop.run(&["rollout", "restart", part.workload, "-n", part.namespace])?;
    shop.rolled_out_in(part.namespace, part.workload, RESTART)?;
    let took = began.elapsed();
    if part.carries {
        let name = part.workload.rsplit('/').next().unwrap_or_default();
        gone(shop, part.namespace, name).await?;
    }
    let cut = streams.end().await?;
    let tally = tally(traffic).await?;
    eprintln!(
        "{}: {:.0} s, {} of {STREAMS} streams cut, {} of {} requests failed, longest outage {} ms",
        part.workload,
        took.as_secs_f64(),
        cut,
        tally.failed,
        tally.ok + tally.failed,
        tally.outage_ms,
    );
    ensure!(part.carries || cut == 0, "{cut} open connections were ended");
    let limit = OUTAGE.as_millis() as u64;
    ensure!(
        tally.outage_ms <= limit,
        "{} ms without answer: {:?}",
        tally.outage_ms,
        tally.failures
    );
    Ok(())
}

/// Waits until what was replaced has waited for its connections, and is gone.
async fn gone(shop: &Shop, namespace: &str, name: &str) -> anyhow::Result<()> {
    let ending = "jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name} {end}";
    let pods = ["get", "pods", "-n", namespace, "-o", ending];
    let none = async || shop.run(&pods).is_ok_and(|names| !names.contains(name));
    eventually(format!("the former {name} is gone"), RESTART, none).await?;
    Ok(())
}

/// Connections on which a line goes back and forth every tenth of a second.
struct Streams(Talk);

impl Streams {
    fn open(shop: &Shop) -> anyhow::Result<Self> {
        let service = shop.get("service", "echo");
        let address = service["spec"]["clusterIP"].as_str().context("an address")?;
        let (to, count) = (format!("{address}:7000"), STREAMS.to_string());
        let talk = ["bed-load", "talk", &to, "--connections", &count, "--interval", "100"];
        Ok(Self(shop.talk("customer", &talk)?))
    }

    /// Ends them, and says how many had been cut before.
    async fn end(self) -> anyhow::Result<u64> {
        let said = self.0.end().await?;
        let report: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        report["failed"].as_u64().context("a number")
    }
}

/// Nodes that die and come back: no packet of a labelled pod is plain.
pub(super) async fn reboots(shop: &mut Shop, times: u32) -> anyhow::Result<()> {
    for time in 1..=times {
        let began = Instant::now();
        let traffic = shop.traffic(TAKE, CALM, None)?;
        let capture = shop.cluster.node("node-b")?.capture_pods()?;
        shop.cluster.node("node-b")?.crash()?;
        shop.cluster.node("node-b")?.boot().await?;
        shop.cluster.ready().await?;
        // Names, too, may have been answered by a pod of that node.
        let back = async || shop.status("customer", TAKE) == 200;
        eventually("the customer is served again", STARTED, back).await?;
        shop.rolled_out("deployment/inventory")?;
        let tally = tally(traffic).await?;
        let recording = capture.stop().await?;
        for mark in MARKS {
            ensure!(
                !recording.contains(mark.as_bytes()),
                "reboot {time}: {mark:?} was on the wire"
            );
        }
        eprintln!(
            "reboot {time} of {times}: {:.0} s, {} of {} requests failed",
            began.elapsed().as_secs_f64(),
            tally.failed,
            tally.ok + tally.failed,
        );
        ensure!(tally.ok > 0, "nothing was answered meanwhile: {:?}", tally.failures);
    }
    Ok(())
}
