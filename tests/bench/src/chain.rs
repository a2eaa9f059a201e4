//! Ten services, each asking the next: what a mesh adds to a request that crosses it ten times.

use anyhow::Context as _;
use testbed::{Process, Testbed};

use crate::subject::mesh::{ControlPlane, MeshNode, Ztunnel};
use crate::subject::{PORT, Program, Subject, load};

/// Services in the chain.
pub const SERVICES: usize = 10;
/// Its name in the results.
pub const NAME: &str = "requests of 1 KiB, chain of 10 services";

/// A chain without a mesh, or within one. The services alternate between two nodes, so that
/// every call crosses the network.
///
/// # Errors
/// If the testbed cannot be extended or the mesh does not start.
pub async fn build(
    bed: &Testbed,
    name: &str,
    mesh: Option<(&ControlPlane, &Ztunnel)>,
) -> anyhow::Result<Subject> {
    let place = format!("{name}-chain");
    // Node names are short.
    let prefix = name.get(..8).unwrap_or(name);
    let nodes = [bed.node(&format!("{prefix}-c-a"))?, bed.node(&format!("{prefix}-c-b"))?];
    let client = bed.pod(&format!("{place}/client"), &nodes[0])?;
    let mut services = Vec::new();
    for number in 0..SERVICES {
        let node = &nodes[(number + 1) % 2];
        services.push(bed.pod(&format!("{place}/service-{number}"), node)?);
    }
    let mut background: Vec<Process> = Vec::new();
    for (number, service) in services.iter().enumerate() {
        let port = PORT.to_string();
        let command = match services.get(number + 1) {
            Some(next) => {
                let next = format!("{}:{PORT}", next.ip4());
                load(service)?.args(["relay", "--port", &port, "--next", &next])
            }
            None => load(service)?.args(["serve", "--port", &port]),
        };
        background.push(command.spawn()?);
    }
    let mut programs = Vec::new();
    if let Some((control, ztunnel)) = mesh {
        let mut pods = vec![&client];
        pods.extend(&services);
        let described: Vec<_> = pods.iter().map(|pod| (*pod, pod.name())).collect();
        control.describe(&place, &nodes, &described)?;
        for (node, side) in nodes.iter().zip(["client", "other"]) {
            let started = MeshNode::start(bed, control, node, ztunnel).await?;
            for pod in pods.iter().filter(|pod| pod.node().name() == node.name()) {
                started.enrol(pod).await?;
            }
            let (process, agent) = started.into_processes();
            programs.push(Program { name: format!("ztunnel, {side}"), process });
            background.push(agent);
        }
    }
    let first = services.first().context("a chain has services")?;
    let dial = (first.ip4(), PORT).into();
    let server = services.last().context("a chain has services")?.clone();
    let name = name.to_owned();
    Ok(Subject { name, client, server, dial, programs, _background: background })
}
