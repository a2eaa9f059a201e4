//! Our control plane and node agents, with our ztunnels or with programs of the same contract.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use hbone::channel::{ChannelConfig, Credentials, Roots, Token};
use hbone::wire::pb::ambit::node::v1::PodCredentialRequest;
use hbone::wire::pb::ambit::node::v1::node_service_client::NodeServiceClient;
use serde::Deserialize;
use serde_json::Value;
use testbed::netns::Netns;
use testbed::{Manifests, Node, Pod, Process, Testbed, eventually, manifests};

use super::sibling;

/// How long each program may take to be ready.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one look at a page may take.
const LOOK: Duration = Duration::from_millis(500);
/// The agent's and ztunnel's readiness pages.
const AGENT_PAGE: u16 = 8000;
const ZTUNNEL_PAGE: u16 = 15021;
const CONTROL_PORT: u16 = 15012;

/// What runs as ztunnel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ztunnel {
    /// The executable.
    #[serde(rename = "ztunnel")]
    pub path: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables beside those of docs/wire.md, "Environment of a node proxy".
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Ztunnel {
    /// An executable without arguments.
    pub fn at(path: PathBuf) -> Self {
        Self { path, args: Vec::new(), env: BTreeMap::new() }
    }

    /// Ours, the release binary.
    ///
    /// # Errors
    /// If it is not built.
    pub fn ours() -> anyhow::Result<Self> {
        Ok(Self::at(sibling("ztunnel")?))
    }
}

/// The control plane of a run, in the infrastructure namespace.
#[derive(Debug)]
pub struct ControlPlane {
    manifests: Manifests,
    state: PathBuf,
    url: String,
    _process: Process,
}

impl ControlPlane {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// If it is not built or does not start.
    pub async fn start(bed: &Testbed) -> anyhow::Result<Self> {
        let manifests = bed.manifests()?;
        let state = bed.directory("control")?;
        let [address, _] = bed.infra_ips();
        let command = bed.command(sibling("control")?);
        let process = command
            .arg("--directory")
            .arg(manifests.path())
            .arg("--state")
            .arg(&state)
            .args(["--server-name", &address.to_string()])
            .spawn()?;
        let root = state.join("root-cert.pem");
        let serves = eventually("control serves", READY_WITHIN, async || {
            let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), CONTROL_PORT);
            root.is_file() && TcpStream::connect_timeout(&address, LOOK).is_ok()
        });
        serves.await.with_context(|| process.stderr())?;
        let url = format!("https://{address}:{CONTROL_PORT}");
        Ok(Self { manifests, state, url, _process: process })
    }

    /// Describes nodes and pods, each with its service account, in one enrolled namespace.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn describe(
        &self,
        namespace: &str,
        nodes: &[Node],
        pods: &[(&Pod, &str)],
    ) -> anyhow::Result<()> {
        let ambient = [("istio.io/dataplane-mode", "ambient")];
        self.manifests.apply(&manifests::namespace(namespace, &ambient))?;
        for node in nodes {
            self.manifests.apply(&manifests::node(node))?;
        }
        for (pod, account) in pods {
            self.manifests.apply(&manifests::service_account(namespace, account))?;
            self.manifests.apply(&manifests::pod(pod, account, &[]))?;
        }
        Ok(())
    }

    /// Adds an object to the manifests.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn apply(&self, object: &Value) -> anyhow::Result<()> {
        Ok(self.manifests.apply(object)?)
    }

    /// How a proxy reaches it, with the token in a file.
    pub(super) fn environment(&self, token: &Path) -> [(&'static str, OsString); 5] {
        let root = self.root();
        [
            ("XDS_ADDRESS", self.url.clone().into()),
            ("XDS_ROOT_CA", root.clone().into()),
            ("CA_ADDRESS", self.url.clone().into()),
            ("CA_ROOT_CA", root.into()),
            ("AUTH_TOKEN", token.into()),
        ]
    }

    fn root(&self) -> PathBuf {
        self.state.join("root-cert.pem")
    }

    /// Lets a node in: the file with its token.
    async fn token(&self, bed: &Testbed, node: &Node) -> anyhow::Result<PathBuf> {
        let command = bed.command(sibling("control")?).named("control-token");
        let made = command.arg("token").arg(node.name()).arg("--state").arg(&self.state);
        let token = made.run(READY_WITHIN).await?.success()?;
        let path = bed.directory(&format!("node/{}", node.name()))?.join("join-token");
        std::fs::write(&path, token.trim())?;
        Ok(path)
    }
}

/// A node with an agent and a ztunnel that are ready.
#[derive(Debug)]
pub struct MeshNode {
    run_dir: PathBuf,
    credential: PathBuf,
    agent: Process,
    ztunnel: Process,
}

impl MeshNode {
    /// Starts both on `node`, which the control plane must know.
    ///
    /// # Errors
    /// If one of them is not ready in time.
    pub async fn start(
        bed: &Testbed,
        control: &ControlPlane,
        node: &Node,
        ztunnel: &Ztunnel,
    ) -> anyhow::Result<Self> {
        let run_dir = bed.directory(&format!("node/{}", node.name()))?;
        let socket = run_dir.join("ztunnel.sock");
        let credential = run_dir.join("credential");
        let agent = node
            .command(sibling("ambit-node-agent")?)
            .env("NODE_NAME", node.name())
            .env("XDS_ADDRESS", &control.url)
            .env("XDS_ROOT_CA", control.root())
            .env("AMBIT_JOIN_TOKEN_FILE", control.token(bed, node).await?)
            .env("AMBIT_CREDENTIAL_FILE", &credential)
            .env("AMBIT_RUN_DIR", &run_dir)
            .env("ZTUNNEL_UDS_ADDRESS", &socket)
            .spawn()?;
        let joined = eventually("a node credential", READY_WITHIN, async || credential.is_file());
        joined.await.with_context(|| agent.stderr())?;
        let mut command = node.command(&ztunnel.path).named("ztunnel").args(&ztunnel.args);
        for (name, value) in &ztunnel.env {
            command = command.env(name, value);
        }
        for (name, value) in control.environment(&credential) {
            command = command.env(name, value);
        }
        let ztunnel = command
            .env("NODE_NAME", node.name())
            .env("INSTANCE_IP", node.ip4().to_string())
            .env("INPOD_UDS", &socket)
            .spawn()?;
        for (process, port, path) in
            [(&ztunnel, ZTUNNEL_PAGE, "/healthz/ready"), (&agent, AGENT_PAGE, "/readyz")]
        {
            let ready = eventually("readiness", READY_WITHIN, async || {
                page(node.netns(), port, path).is_some_and(|answer| answer.contains(" 200 "))
            });
            ready.await.with_context(|| said(process))?;
        }
        Ok(Self { run_dir, credential, agent, ztunnel })
    }

    /// Buys a credential for a pod of this node: the file with it.
    ///
    /// # Errors
    /// If control refuses, or the file cannot be written.
    pub(super) async fn pod_token(
        &self,
        control: &ControlPlane,
        pod: &Pod,
    ) -> anyhow::Result<PathBuf> {
        let way = hbone::channel::ControlPlane::new(ChannelConfig {
            servers: vec![control.url.parse()?],
            alternative_hostname: None,
            roots: Roots::from_setting(&control.root().display().to_string()),
            credentials: Credentials::new(Token::File(self.credential.clone()), "Kubernetes", [])?,
            connect_timeout: READY_WITHIN,
        })?;
        let (namespace, name) = (pod.namespace().to_owned(), pod.name().to_owned());
        let request = PodCredentialRequest { namespace, name, uid: pod.uid().to_owned() };
        let mut client = NodeServiceClient::new(way.connect().await?);
        let bought = client.pod_credential(request).await?.into_inner();
        let path = self.run_dir.join(format!("token-{}", pod.uid()));
        std::fs::write(&path, bought.token)?;
        Ok(path)
    }

    /// Announces a pod, as a container runtime does before the pod's programs start, until
    /// the agent knows it.
    ///
    /// # Errors
    /// With the agent's answer, if it does not take the pod in time.
    pub async fn enrol(&self, pod: &Pod) -> anyhow::Result<()> {
        let mut last = None;
        let announced = eventually("the pod is enrolled", READY_WITHIN, async || {
            last = pod.announce(&self.run_dir).await.err();
            last.is_none()
        });
        match (announced.await, last) {
            (Ok(_), _) => Ok(()),
            (Err(late), None) => Err(late.into()),
            (Err(_), Some(refused)) => Err(refused).with_context(|| said(&self.agent)),
        }
    }

    /// The process of ztunnel.
    pub fn ztunnel(&self) -> &Process {
        &self.ztunnel
    }

    /// ztunnel and the agent.
    pub fn into_processes(self) -> (Process, Process) {
        (self.ztunnel, self.agent)
    }
}

/// The end of what a process wrote, for a message.
pub(super) fn said(process: &Process) -> String {
    let mut text = process.name().to_owned();
    for output in [process.stdout(), process.stderr()] {
        let lines: Vec<&str> = output.lines().rev().take(8).collect();
        for line in lines.iter().rev() {
            let _ = write!(text, "\n  {line}");
        }
    }
    text
}

/// The answer to GET of a page in another namespace.
pub(super) fn page(netns: &Netns, port: u16, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    let get = || {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let mut stream = TcpStream::connect_timeout(&address, LOOK).ok()?;
        stream.set_read_timeout(Some(LOOK)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    netns.run(get).ok().flatten()
}
