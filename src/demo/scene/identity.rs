//! Both proxies of a hop have proved who the other's workload is, and programs see their
//! caller's own address.

use anyhow::Context as _;
use serde_json::Value;
use shop::Answer;
use testbed::mesh::{Machine, Mark};

use super::super::narrator::Narrator;
use super::super::stage::Stage;

/// Who calls whom.
const HOPS: [(&str, &str); 4] =
    [("customer", "web"), ("web", "orders"), ("orders", "payments-v1"), ("orders", "inventory")];

pub(super) async fn play(narrator: &Narrator, stage: &Stage) -> anyhow::Result<()> {
    let marks: Vec<(&Machine, Mark)> = stage.mesh.nodes().map(|node| (node, node.mark())).collect();
    let (status, body) = stage.curl("customer", "http://web.shop/").await?;
    anyhow::ensure!(status == 200, "curl was answered {status}: {body}");
    narrator.note("Of the access logs of both nodes, whom the proxies have authenticated:");
    for (from, to) in HOPS {
        let lines = narrator.wait("reading the access logs", hop(stage, &marks, from, to)).await?;
        narrator.fact(format!("{from} to {to}"));
        narrator.show(lines);
    }
    peers(narrator, stage, &body)?;
    if stage.has_catalogue() {
        catalogue(narrator, stage, &marks).await?;
    }
    Ok(())
}

/// A line of the caller's node and one of the other's, each with both identities.
async fn hop(
    stage: &Stage,
    marks: &[(&Machine, Mark)],
    from: &str,
    to: &str,
) -> anyhow::Result<[String; 2]> {
    let (source, destination) = (stage.pod(from)?, stage.pod(to)?);
    let line = async |node: &str, direction: &str| {
        let mark = marks.iter().find(|(machine, _)| machine.node().name() == node);
        let (machine, mark) = mark.with_context(|| format!("no node {node}"))?;
        let found = machine
            .logs("connection complete")
            .since(*mark)
            .with("direction", direction)
            .with("src.identity", source.identity())
            .with("dst.identity", destination.identity());
        Ok::<_, anyhow::Error>(shown(node, &found.await?))
    };
    let out = line(source.node().name(), "outbound").await?;
    let into = line(destination.node().name(), "inbound").await?;
    Ok([out, into])
}

fn shown(node: &str, line: &Value) -> String {
    let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
    let short = |field: &str| text(field).trim_start_matches("spiffe://cluster.local").to_owned();
    let (from, to) = (short("src.identity"), short("dst.identity"));
    format!("{node} {:8}  {from} -> {to}", text("direction"))
}

/// Every service saw the address of the pod that called it.
fn peers(narrator: &Narrator, stage: &Stage, body: &str) -> anyhow::Result<()> {
    let answer: Answer = serde_json::from_str(body).context("the answer of web")?;
    for (from, to) in HOPS {
        let service = to.trim_end_matches("-v1");
        let seen = answer.of(service).with_context(|| format!("{service} did not answer"))?.peer;
        let caller = stage.pod(from)?.ips();
        anyhow::ensure!(caller.contains(&seen), "{to} saw {seen}, and {from} is {caller:?}");
    }
    narrator.fact("each program saw the address of the pod that called it, not a proxy's");
    Ok(())
}

/// The same for programs that were not written for this.
async fn catalogue(
    narrator: &Narrator,
    stage: &Stage,
    marks: &[(&Machine, Mark)],
) -> anyhow::Result<()> {
    let (status, page) = stage.curl("web", "http://catalogue.shop/").await?;
    anyhow::ensure!(status == 200, "nginx answered {status}: {page}");
    let lines = hop(stage, marks, "web", "catalogue").await?;
    narrator.fact(format!("curl in pod web, nginx in pod catalogue: {:?}", page.trim_end()));
    narrator.show(lines);
    Ok(())
}
