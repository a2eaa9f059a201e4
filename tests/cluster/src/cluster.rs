//! The whole cluster, from inside its sandbox.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::audit;
use crate::binaries::Binaries;
use crate::certificates::Authority;
use crate::control_plane::ControlPlane;
use crate::image::Image;
use crate::kubectl::Kubectl;
use crate::network;
use crate::node::Node;
use crate::plan::{Addresses, DNS_SERVICE, DOMAIN, Plan};

/// How long nodes may take until they are ready.
const READY: Duration = Duration::from_mins(2);

/// Inotify instances that suffice for several clusters.
const WATCHES: u32 = 1024;

/// CoreDNS: one replica, with the rights and the configuration that a cluster gives it.
const DNS: &str = include_str!("dns.yaml");

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    control_plane: ControlPlane,
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts everything and waits until all nodes and the cluster's DNS are ready. `outside`
    /// are addresses beyond its own under which the API server is reached.
    ///
    /// # Errors
    /// If something does not come up, with the end of its log.
    pub async fn start(
        plan: &Plan,
        binaries: &Binaries,
        outside: &[IpAddr],
        say: &dyn Fn(&str),
    ) -> anyhow::Result<Self> {
        enough_watches()?;
        say("starting etcd and the API server");
        let (control_plane, authority) = control_plane(plan, binaries, outside).await?;
        let mut nodes = Vec::new();
        let basic = Image::basic()?;
        let dns = Image::new("local.test/coredns:1", &["/bin/coredns"]);
        let dns = dns.with(&binaries.path("coredns"))?;
        for (name, addresses) in plan.addressed() {
            say(&format!("starting {name}"));
            control_plane.kubectl().apply(&node_object(name, addresses).to_string())?;
            let mut node = Node::create(plan, name, addresses, binaries, &authority)?;
            node.boot().await?;
            for image in basic.iter().chain([&dns]) {
                node.import(image)?;
            }
            nodes.push(node);
        }
        let dns = DNS.replace("{ADDRESS}", &DNS_SERVICE.to_string()).replace("{DOMAIN}", DOMAIN);
        control_plane.kubectl().apply(&dns)?;
        let started = Self { control_plane, nodes };
        say("waiting for the nodes and for DNS");
        started.ready().await?;
        Ok(started)
    }

    /// Waits until every node is ready and DNS answers.
    ///
    /// # Errors
    /// If they are not in time, with what they lack.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let missing = self.missing()?;
            if missing.is_empty() {
                return Ok(());
            }
            if began.elapsed() > READY {
                bail!("not ready: {}", missing.join("; "));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What is not ready, in words.
    fn missing(&self) -> anyhow::Result<Vec<String>> {
        let kubectl = self.kubectl();
        let mut missing = Vec::new();
        for node in &self.nodes {
            let object = kubectl.get(&["node", node.name()])?;
            let ready = condition(&object, "Ready").context("a node without conditions");
            match ready {
                Ok(ready) if ready["status"] == "True" => {}
                Ok(ready) => missing.push(format!("{}: {}", node.name(), ready["message"])),
                Err(error) => missing.push(format!("{}: {error}", node.name())),
            }
        }
        let dns = kubectl.get(&["deployment", "coredns", "-n", "kube-system"])?;
        if dns["status"]["readyReplicas"].as_u64().unwrap_or_default() == 0 {
            missing.push("no CoreDNS is ready".to_owned());
        }
        Ok(missing)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> &Kubectl {
        self.control_plane.kubectl()
    }

    /// The control plane, to be disturbed.
    pub fn control_plane(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name, to be disturbed.
    ///
    /// # Errors
    /// If there is none.
    pub fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        let found = self.nodes.iter_mut().find(|node| node.name() == name);
        found.with_context(|| format!("no node {name}"))
    }

    /// Ends all nodes and removes what they leave in the kernel.
    pub fn end(&mut self) {
        for node in &mut self.nodes {
            if let Err(error) = node.crash() {
                eprintln!("{}: {error}", node.name());
            }
            node.remove_cgroups();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

/// The API server and its controllers alone: objects and no containers.
///
/// # Errors
/// If it does not come up, with the end of its log.
pub async fn control_plane(
    plan: &Plan,
    binaries: &Binaries,
    outside: &[IpAddr],
) -> anyhow::Result<(ControlPlane, Authority)> {
    let _ = std::fs::remove_dir_all(&plan.home);
    std::fs::create_dir_all(&plan.home)?;
    std::fs::write(plan.audit_policy(), audit::POLICY)?;
    network::bridge()?;
    let authority = Authority::create(&plan.certificates(), "ca")?;
    let control_plane = ControlPlane::start(plan, binaries, &authority, outside).await?;
    Ok((control_plane, authority))
}

/// Kubelets and containerds watch more files than a machine grants by default. The value stays:
/// it costs nothing, and another cluster may need it.
fn enough_watches() -> anyhow::Result<()> {
    const FILE: &str = "/proc/sys/fs/inotify/max_user_instances";
    let now: u32 = std::fs::read_to_string(FILE)?.trim().parse().context(FILE)?;
    if now < WATCHES {
        std::fs::write(FILE, WATCHES.to_string()).context(FILE)?;
    }
    Ok(())
}

/// The Node that a kubelet then takes over, with its subnets.
fn node_object(name: &str, addresses: Addresses) -> Value {
    let (v4, v6) = addresses.pods();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": v4, "podCIDRs": [v4, v6]},
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}
