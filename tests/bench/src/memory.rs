//! Memory of a node with 1, 20 and 50 pods: one ztunnel for all, beside one Envoy for each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testbed::{Node, Pod, Process, Testbed, eventually};

use crate::results::{Metric, Results};
use crate::subject::mesh::{ControlPlane, MeshNode, Ztunnel};
use crate::usage::proportional_kib;

/// Its name in the results, before the number of pods.
pub const NAME: &str = "memory of a node";
/// The subject that is an Envoy for each pod.
pub const SIDECARS: &str = "sidecars";
/// Pods on the node at each step.
const STEPS: [usize; 3] = [1, 20, 50];
/// How long memory must stay the same to be believed, in looks 100 ms apart.
const STEADY_LOOKS: u32 = 10;
const STEADY_WITHIN: Duration = Duration::from_secs(30);

/// Measures a ztunnel while the pods of its node grow in number.
///
/// # Errors
/// If the mesh does not start or a pod is not enrolled.
pub async fn ztunnel(
    bed: &Testbed,
    control: &ControlPlane,
    name: &str,
    program: &Ztunnel,
    results: &mut Results,
) -> anyhow::Result<()> {
    let node = bed.node(&format!("{}-mem", name.get(..8).unwrap_or(name)))?;
    let namespace = format!("{name}-memory");
    control.describe(&namespace, std::slice::from_ref(&node), &[])?;
    let started = MeshNode::start(bed, control, &node, program).await?;
    let mut pods = Pods { bed, node: &node, namespace: &namespace, count: 0 };
    for step in STEPS {
        for pod in pods.up_to(step)? {
            // A service account each: a certificate each.
            control.describe(&namespace, &[], &[(&pod, pod.name())])?;
            started.enrol(&pod).await?;
        }
        let pid = started.ztunnel().pid();
        note(results, name, step, steady(&[pid]).await?);
    }
    Ok(())
}

/// Measures Envoys while the pods of a node grow in number; each has one Envoy with one
/// listener and one cluster.
///
/// # Errors
/// If an Envoy does not start.
pub async fn envoy(bed: &Testbed, program: &Path, results: &mut Results) -> anyhow::Result<()> {
    let node = bed.node("sidecars-mem")?;
    let config = bed.directory(SIDECARS)?.join("sidecar.yaml");
    std::fs::write(&config, ENVOY)?;
    let mut pods = Pods { bed, node: &node, namespace: "sidecars-memory", count: 0 };
    let mut running: Vec<Process> = Vec::new();
    for step in STEPS {
        for pod in pods.up_to(step)? {
            running.push(start(&pod, program, &config)?);
        }
        let pids: Vec<i32> = running.iter().map(Process::pid).collect();
        note(results, SIDECARS, step, steady(&pids).await?);
    }
    Ok(())
}

fn start(pod: &Pod, program: &Path, config: &PathBuf) -> anyhow::Result<Process> {
    let command = pod.command(program).arg("-c").arg(config);
    Ok(command.args(["--concurrency", "2", "--disable-hot-restart", "-l", "warn"]).spawn()?)
}

fn note(results: &mut Results, subject: &str, pods: usize, kib: u64) {
    let measurement = format!("{NAME}, pods: {pods}");
    let metric = Metric::new(&measurement, "all proxies", "MiB");
    results.add(0, subject, metric, kib as f64 / 1024.0);
}

/// Pods of a node that grow in number.
struct Pods<'a> {
    bed: &'a Testbed,
    node: &'a Node,
    namespace: &'a str,
    count: usize,
}

impl Pods<'_> {
    fn up_to(&mut self, wanted: usize) -> anyhow::Result<Vec<Pod>> {
        let from = std::mem::replace(&mut self.count, wanted);
        let name = |number| format!("{}/pod-{number}", self.namespace);
        (from..wanted).map(|number| Ok(self.bed.pod(&name(number), self.node)?)).collect()
    }
}

/// KiB of all processes together, once that stays the same within 1 % for a second.
async fn steady(pids: &[i32]) -> anyhow::Result<u64> {
    let (mut last, mut same) = (0, 0);
    let mut failed = None;
    let waited = eventually("steady memory", STEADY_WITHIN, async || {
        tokio::time::sleep(Duration::from_millis(90)).await;
        let sum: anyhow::Result<Vec<u64>> = pids.iter().map(|pid| proportional_kib(*pid)).collect();
        match sum {
            Ok(parts) => {
                let now: u64 = parts.iter().sum();
                same = if now.abs_diff(last) <= last / 100 { same + 1 } else { 0 };
                last = now;
            }
            Err(error) => failed = Some(error),
        }
        same >= STEADY_LOOKS || failed.is_some()
    });
    waited.await?;
    failed.map_or(Ok(last), Err)
}

/// The least that a sidecar has: a listener that passes on to the application.
const ENVOY: &str = r#"
static_resources:
  listeners:
  - name: inbound
    address: {socket_address: {address: 0.0.0.0, port_value: 15006}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: inbound
          cluster: application
  clusters:
  - name: application
    connect_timeout: 5s
    type: STATIC
    load_assignment:
      cluster_name: application
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8080}}}
"#;
