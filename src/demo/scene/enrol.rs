//! One label on the namespace: what was readable on the wire is TLS, and nobody noticed.

use std::collections::BTreeSet;

use anyhow::Context as _;
use testbed::mesh::MeshPod;

use super::super::bytes;
use super::super::narrator::Narrator;
use super::super::stage::{SHOP, Stage};

/// The port of HBONE.
const HBONE: u16 = 15008;
/// What an order says on the wire.
const REQUEST: &[u8] = b"GET /orders HTTP/1.1";
/// Bytes that are shown.
const SHOWN: usize = 48;
/// Orders that a capture sees.
const ORDERS: u64 = 10;

pub(super) async fn play(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let before = stage.customer.tally().await?;
    let programs = programs(stage);
    plaintext(narrator, stage).await?;
    label(narrator, stage).await?;
    only_tls(narrator, stage).await?;
    let after = stage.customer.tally().await?;
    let (orders, failed) = (after.ok - before.ok, after.failed - before.failed);
    anyhow::ensure!(failed == 0, "{failed} orders failed meanwhile: {:?}", after.failures);
    anyhow::ensure!(programs == self::programs(stage), "a program of the shop was started anew");
    narrator.fact(format!("{orders} orders meanwhile, 0 failed; no program was restarted"));
    Ok(())
}

async fn plaintext(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let capture = stage.mesh.link()?.capture()?;
    narrator.wait("listening between the nodes", stage.customer.served(ORDERS)).await?;
    let recording = capture.stop().await?;
    let (flow, said) = bytes::spoken(&recording, REQUEST)
        .context("no plaintext order was seen between the nodes")?;
    narrator.fact("before: anybody between the nodes reads every order");
    narrator.show([format!("{} > {}", flow.from, flow.to)]);
    narrator.show(bytes::dump(said.get(..SHOWN).unwrap_or(&said)));
    Ok(())
}

async fn label(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    stage.mesh.enrol(SHOP)?;
    let file = stage.mesh.manifests().path().join("namespace.shop.yaml");
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find(|line| line.contains("dataplane-mode")).unwrap_or_default();
    narrator.note("The label, in manifests/namespace.shop.yaml:");
    narrator.show([format!("+ {line}")]);
    let began = std::time::Instant::now();
    let enrolled = async {
        for pod in stage.pods() {
            pod.is_enrolled().await?;
        }
        // Orders that were under way end the old way.
        stage.customer.served(ORDERS).await?;
        Ok::<_, anyhow::Error>(())
    };
    narrator.wait("pods join the mesh", enrolled).await?;
    let (pods, seconds) = (stage.pods().count(), began.elapsed().as_secs_f64());
    narrator.fact(format!("{pods} running pods joined the mesh within {seconds:.1} s"));
    Ok(())
}

async fn only_tls(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let capture = stage.mesh.link()?.capture()?;
    narrator.wait("listening again", stage.customer.served(2 * ORDERS)).await?;
    let recording = capture.stop().await?;
    let seen = recording.holds_only_tls_to(HBONE)?;
    for text in [REQUEST, b"HTTP/1.1", b"orders.shop", b"lamp"] {
        let text_seen = recording.contains(text);
        anyhow::ensure!(!text_seen, "{:?} was still on the wire", String::from_utf8_lossy(text));
    }
    anyhow::ensure!(seen > 0, "nothing at all was on the wire");
    let found = bytes::record(&recording, HBONE);
    let (flow, record) = found.context("no record of a tunnel was seen")?;
    narrator
        .fact(format!("after: {seen} bytes between the nodes, all of them TLS to port {HBONE}"));
    narrator.show([format!("{} > {}", flow.from, flow.to)]);
    narrator.show(bytes::dump(record.get(..SHOWN).unwrap_or(&record)));
    Ok(())
}

/// The shop's processes: pod and process id.
fn programs(stage: &Stage) -> BTreeSet<(String, i32)> {
    let of = |pod: &MeshPod| {
        let name = pod.full_name().to_owned();
        pod.netns().processes().into_iter().map(move |pid| (name.clone(), pid)).collect::<Vec<_>>()
    };
    stage.pods().flat_map(of).collect()
}
