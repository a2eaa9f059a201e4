//! What is measured.
//!
//! Each subject has two nodes of its own, a client pod on the first and a server pod on the
//! second, so that all have the same way between them.
//!
//! - [`template`]: other proxies, as a file describes them
//! - [`certificates`]: for those that authenticate each other
//! - [`mesh`]: our control plane and node agents, with our ztunnels or compatible ones
//! - [`waypoint`]: the same, and a waypoint

pub mod certificates;
pub mod mesh;
pub mod template;
pub mod waypoint;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use testbed::{Node, Pod, Process, Testbed};

use crate::usage::cpu_seconds;
use mesh::{ControlPlane, MeshNode};
use template::Template;

/// Port of the server in every server pod.
pub const PORT: u16 = 8080;
/// How long a program may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A program whose use of processor and memory counts.
#[derive(Debug)]
pub struct Program {
    /// Its name in the results.
    pub name: String,
    /// The process.
    pub process: Process,
}

/// Something that carries load from a client to a server.
#[derive(Debug)]
pub struct Subject {
    /// Its name in the results.
    pub name: String,
    /// Where the load comes from.
    pub client: Pod,
    /// Where it goes.
    pub server: Pod,
    /// What the client dials.
    pub dial: SocketAddr,
    /// The proxies between, client's side first.
    pub programs: Vec<Program>,
    /// Runs for as long as the subject is measured.
    pub(crate) _background: Vec<Process>,
}

/// Two nodes and two pods, with a server that runs.
#[derive(Debug)]
struct Place {
    nodes: [Node; 2],
    client: Pod,
    server: Pod,
    serving: Process,
}

impl Place {
    fn new(bed: &Testbed, name: &str) -> anyhow::Result<Self> {
        let nodes = [bed.node(&format!("{name}-a"))?, bed.node(&format!("{name}-b"))?];
        let client = bed.pod(&format!("{name}/client"), &nodes[0])?;
        let server = bed.pod(&format!("{name}/server"), &nodes[1])?;
        // Each new connection takes a port; TIME_WAIT is the server's.
        let ports = [("ipv4/ip_local_port_range", "1024 65535")];
        client.netns().sysctl(&ports)?;
        server.netns().sysctl(&ports)?;
        let serving = load(&server)?.args(["serve", "--port", &PORT.to_string()]).spawn()?;
        Ok(Self { nodes, client, server, serving })
    }

    fn address(&self) -> SocketAddr {
        (self.server.ip4(), PORT).into()
    }
}

impl Subject {
    /// Nothing between client and server.
    ///
    /// # Errors
    /// If the testbed cannot be extended.
    pub fn direct(bed: &Testbed) -> anyhow::Result<Self> {
        let place = Place::new(bed, "direct")?;
        Ok(Self::of("direct", place, Vec::new(), Vec::new()))
    }

    fn of(name: &str, place: Place, programs: Vec<Program>, mut rest: Vec<Process>) -> Self {
        let dial = place.address();
        rest.push(place.serving);
        let Place { client, server, .. } = place;
        Self { name: name.to_owned(), client, server, dial, programs, _background: rest }
    }

    /// Two ztunnels, or two programs that can stand in for them.
    ///
    /// # Errors
    /// If a program does not start, or traffic does not pass it.
    pub async fn mesh(
        bed: &Testbed,
        control: &ControlPlane,
        name: &str,
        ztunnel: &mesh::Ztunnel,
    ) -> anyhow::Result<Self> {
        let place = Place::new(bed, name)?;
        let pods = [&place.client, &place.server];
        control.describe(name, &place.nodes, &pods.map(|pod| (pod, pod.name())))?;
        let mut programs = Vec::new();
        let mut agents = Vec::new();
        for ((node, pod), side) in place.nodes.iter().zip(pods).zip(["client", "server"]) {
            let started = MeshNode::start(bed, control, node, ztunnel).await?;
            started.enrol(pod).await?;
            let (process, agent) = started.into_processes();
            programs.push(Program { name: format!("ztunnel, {side}"), process });
            agents.push(agent);
        }
        Ok(Self::of(name, place, programs, agents))
    }

    /// Whatever a file describes.
    ///
    /// # Errors
    /// If a program does not start.
    pub fn template(bed: &Testbed, name: &str, template: &Template) -> anyhow::Result<Self> {
        let place = Place::new(bed, name)?;
        let directory = bed.directory(&format!("other/{name}"))?;
        certificates::write(&directory)?;
        let words = template::Words {
            directory,
            addresses: [
                ("client", place.client.ip4()),
                ("server", place.server.ip4()),
                ("client-node", place.nodes[0].ip4()),
                ("server-node", place.nodes[1].ip4()),
            ],
            port: PORT,
        };
        let mut programs = Vec::new();
        for described in &template.programs {
            let process = described.start(&words, |side| match side {
                template::Side::Client => place.client.command(described.path(&words)),
                template::Side::Server => place.server.command(described.path(&words)),
                template::Side::ClientNode => place.nodes[0].command(described.path(&words)),
                template::Side::ServerNode => place.nodes[1].command(described.path(&words)),
            });
            programs.push(Program { name: described.name.clone(), process: process? });
        }
        let dial = match &template.dial {
            Some(address) => words.fill(address).parse().context("dial")?,
            None => place.address(),
        };
        Ok(Self { dial, ..Self::of(name, place, programs, Vec::new()) })
    }

    /// A load program in the client's pod, to be given its arguments.
    ///
    /// # Errors
    /// If this executable cannot be found.
    pub fn load(&self) -> anyhow::Result<testbed::Command> {
        load(&self.client)
    }

    /// Processor seconds of each of its programs so far.
    ///
    /// # Errors
    /// If one of them has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<Vec<f64>> {
        let used = |program: &Program| {
            cpu_seconds(program.process.pid()).with_context(|| program.name.clone())
        };
        self.programs.iter().map(used).collect()
    }

    /// Waits until the server answers the client.
    ///
    /// # Errors
    /// With the last failure, if it does not within 30 s.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let mut last = None;
        let answered = testbed::eventually("an answer", READY_WITHIN, async || {
            last = self.probe().await.err();
            last.is_none()
        });
        match answered.await {
            Ok(_) => Ok(()),
            Err(late) => Err(last.unwrap_or_else(|| late.into()))
                .with_context(|| format!("{} carries nothing\n{}", self.name, self.said())),
        }
    }

    /// The end of what its programs wrote, for a message.
    fn said(&self) -> String {
        let said: Vec<_> =
            self.programs.iter().map(|program| mesh::said(&program.process)).collect();
        said.join("\n")
    }

    async fn probe(&self) -> anyhow::Result<()> {
        let to = self.dial.to_string();
        let probe = self.load()?.args(["exchange", "--millis", "1", "--to", &to]);
        probe.run(Duration::from_secs(15)).await?.success()?;
        Ok(())
    }
}

/// This executable as a load program in a pod.
///
/// # Errors
/// If it cannot be found.
pub fn load(pod: &Pod) -> anyhow::Result<testbed::Command> {
    Ok(pod.command(std::env::current_exe()?).arg("load").named("load"))
}

/// One of our release binaries, beside this executable.
///
/// # Errors
/// A sentence that says how to build it.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let path = exe.parent().unwrap_or(Path::new(".")).join(name);
    anyhow::ensure!(path.is_file(), "{} is not built; use ./dev bench", path.display());
    Ok(path)
}
