//! What is older than the rings comes from Prometheus: of connections that no proxy remembers any
//! longer, and not twice of those that one does.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::mesh::{Machine, Mesh, PATIENCE, Pair};
use testbed::{Testbed, eventually};
use tokio::time::sleep;

use crate::lab::{OTHER_CONTROL, target};
use crate::server::{Prometheus, now};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// Width of the steps of the questions.
const STEP: i64 = 10_000;
/// Connections before the rings are lost, and after.
const BEFORE: usize = 30;
const AFTER: usize = 10;

fn now_ms() -> i64 {
    (now() * 1_000.0) as i64
}

/// Ends the proxy of a node and takes away what it remembered.
async fn forget(machine: &Machine) -> anyhow::Result<()> {
    let ztunnel = machine.ztunnel();
    let pid = ztunnel.pid()?;
    ztunnel.kill()?;
    eventually("its successor runs", PATIENCE, async || ztunnel.pid().is_ok_and(|now| now != pid))
        .await?;
    remove_rings(machine.directory())
}

fn remove_rings(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_rings(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "ring") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// What a workload's page says came in, before and after a moment.
fn inbound(page: &Value, seam: i64) -> (f64, f64) {
    let points = page["inbound"]["points"].as_array().into_iter().flatten();
    points.fold((0.0, 0.0), |(before, after), point| {
        let opened = point["opened"].as_f64().unwrap_or_default();
        if point["atMs"].as_i64() < Some(seam) {
            (before + opened, after)
        } else {
            (before, after + opened)
        }
    })
}

testbed::scenario! {
    #[ignore = "needs Prometheus, and minutes"]
    within 200;
    async fn what_is_older_than_the_rings_comes_from_prometheus(bed: Testbed) -> anyhow::Result<()> {
        let options = Mesh::options(AMBIT)
            .control_env("PROMETHEUS_URL", "http://127.0.0.1:9090")
            .control_env("PROMETHEUS_STEP", "10s");
        let pair = Pair::with(&bed, &options).await?;
        let (mesh, web, store) = (&pair.mesh, &pair.web, &pair.store);
        let mut targets: Vec<Value> = mesh.nodes().map(|machine| {
            let node = machine.node();
            target("ztunnel", "ambit-ztunnel", node.name(), &node.ip4().to_string(), 15020)
        }).collect();
        targets.push(target("other", "ambit-control", "infra", "127.0.0.1", OTHER_CONTROL));
        let prometheus = Prometheus::start(&bed, &targets).await?;
        let control = mesh.control();
        assert_eq!(control.api("about").await?["longer"], "prometheus");

        let begun = now_ms() - 60_000;
        web.is_seen_as(store.at4(7)).await?;
        // Growth is seen from the second scrape on.
        sleep(Duration::from_secs(3)).await;
        for _ in 0..BEFORE {
            web.is_seen_as(store.at4(7)).await?;
            sleep(Duration::from_millis(300)).await;
        }
        sleep(Duration::from_secs(3)).await;
        // Until here the rings have all of it, and nobody asks Prometheus.
        let fresh = format!("mesh?from={}&to={}", now_ms() - 1_000, now_ms());
        assert!(control.api(&fresh).await?["history"].is_null(), "{fresh}");
        for machine in mesh.nodes() {
            forget(machine).await?;
        }
        eventually("pods are reached again", PATIENCE, async || web.is_seen_as(store.at4(7)).await.is_ok()).await?;
        let forgotten = now_ms();
        // The steps of the new rings begin: one is on disk, and control has heard of it.
        sleep(Duration::from_secs(32)).await;
        for _ in 0..AFTER {
            web.is_seen_as(store.at4(7)).await?;
        }
        let owner = |pod: &testbed::mesh::MeshPod| format!("{}-1", pod.full_name());
        let all = |from: i64| format!("from={from}&to={}", now_ms() + 1_000);

        let graph = control.api(&format!("mesh?{}", all(begun))).await?;
        assert_eq!(graph["history"]["source"], "prometheus", "{graph:#}");
        assert_eq!(graph["history"]["error"], "", "{graph:#}");
        assert_eq!(graph["missing"], serde_json::json!([]), "{graph:#}");
        let (from, to) = (format!("workload:{}", owner(web)), format!("workload:{}", owner(store)));
        let links: Vec<&Value> = graph["edges"].as_array().into_iter().flatten()
            // As its caller sees it, who dials the pod; the called one names the service that it serves.
            .filter(|link| link["from"] == from && link["to"] == to && link["service"] == "").collect();
        assert_eq!(links.len(), 1, "one link out of both: {graph:#}");
        assert_eq!((&links[0]["security"], &links[0]["port"]), (&"mtls".into(), &7.into()), "{}", links[0]);
        assert_eq!(links[0]["identity"], web.identity(), "{}", links[0]);
        let opened = links[0]["totals"]["opened"].as_f64().unwrap_or_default();
        // Growth is an estimate between scrapes, which are late on a busy machine; but nothing counts
        // twice.
        let most = (BEFORE + AFTER) as f64 * 1.5;
        assert!((AFTER as f64..most).contains(&opened), "{opened} of {BEFORE} and {AFTER}");

        let page = control.api(&format!("workloads/{}?{}&step={STEP}", owner(store), all(begun))).await?;
        let seam = page["history"]["toMs"].as_i64().unwrap_or_default();
        assert!(seam >= forgotten - 2 * STEP && seam <= now_ms(), "{seam} {forgotten}: {page:#}");
        let (before, after) = inbound(&page, seam);
        assert!((1.0..=BEFORE as f64 * 1.5).contains(&before), "{before}: {page:#}");
        assert!((AFTER as f64..(AFTER + BEFORE) as f64).contains(&after), "{after}: {page:#}");
        let policies = control.api(&format!("policies?{}", all(begun))).await?;
        assert!(policies["history"].is_null(), "metrics know no policies");

        drop(prometheus);
        let graph = control.api(&format!("mesh?{}", all(begun - 120_000))).await?;
        assert_eq!(graph["missing"][0]["name"], "prometheus", "{graph:#}");
        assert!(graph["history"]["error"].as_str().is_some_and(|error| !error.is_empty()), "{graph:#}");
        let link = graph["edges"].as_array().into_iter().flatten()
            .find(|link| link["from"] == from && link["to"] == to);
        let opened = link.map_or(0.0, |link| link["totals"]["opened"].as_f64().unwrap_or_default());
        assert!((AFTER as f64..(AFTER + BEFORE) as f64).contains(&opened), "what the rings have: {graph:#}");
        Ok(())
    }
}
