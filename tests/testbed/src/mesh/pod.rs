//! Pods of the mesh: a network namespace, a manifest, programs.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{Mesh, MeshError, PATIENCE};
use crate::bed::{Pod, PodSpec};
use crate::manifests;
use crate::netns::Netns;
use crate::process::{self, Command, Finished, Process};
use crate::wait::eventually;

/// A pod to be made: `mesh.pod("shop/web").on("node-a").await?`.
#[must_use = "await it"]
pub struct PodRequest {
    mesh: Mesh,
    name: String,
    node: Option<String>,
    account: String,
    labels: BTreeMap<String, String>,
    enrolled: bool,
    echo: bool,
}

impl Mesh {
    /// A pod `namespace/name` on the first node. It gets a service account of its own name
    /// and the label `app` with its name as value.
    pub fn pod(&self, name: &str) -> PodRequest {
        let short = name.split_once('/').map_or(name, |(_, short)| short).to_owned();
        PodRequest {
            mesh: self.clone(),
            name: name.to_owned(),
            node: None,
            account: short.clone(),
            labels: BTreeMap::from([("app".to_owned(), short)]),
            enrolled: false,
            echo: false,
        }
    }

    /// A pod that was made before.
    pub fn find_pod(&self, name: &str) -> Option<MeshPod> {
        let shared = self.inner.lock().pods.get(name).cloned();
        shared.map(|shared| MeshPod { mesh: self.clone(), shared })
    }
}

impl PodRequest {
    /// On this node.
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// With this service account.
    pub fn account(mut self, name: &str) -> Self {
        name.clone_into(&mut self.account);
        self
    }

    /// With this label.
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Its namespace enrolled, and the pod in the mesh before the wait ends.
    pub fn enrolled(mut self) -> Self {
        self.enrolled = true;
        self
    }

    /// With the testbed's echo server on port 7.
    pub fn echoing(mut self) -> Self {
        self.echo = true;
        self
    }

    async fn make(self) -> Result<MeshPod, MeshError> {
        let Self { mesh, name, node, account, labels, enrolled, echo } = self;
        let namespace = name.split_once('/').map_or("default", |(namespace, _)| namespace);
        if enrolled {
            mesh.enrol(namespace)?;
        } else {
            mesh.namespace(namespace)?;
        }
        let missing = || MeshError::Missing { object: "node", name: "node-a".to_owned() };
        let machine = match &node {
            Some(node) => mesh.node(node)?,
            None => mesh.nodes().next().ok_or_else(missing)?,
        };
        mesh.apply(&manifests::service_account(namespace, &account))?;
        let pod = mesh.bed().pod_with(PodSpec::new(&name, machine.node()))?;
        let run_dir = machine.run_dir();
        let shared =
            Shared { pod, account, labels: Mutex::new(labels), programs: Mutex::default() };
        let pod = MeshPod { mesh, shared: Arc::new(shared) };
        pod.write_manifest()?;
        // The container runtime's call comes before any program of the pod.
        pod.announce(&run_dir).await?;
        let mesh = &pod.mesh;
        mesh.inner.lock().pods.insert(name, Arc::clone(&pod.shared));
        mesh.bed().host(&format!("{}.{}.pod", pod.name(), pod.namespace()), &pod.ips())?;
        if echo {
            pod.echo(7).await?;
        }
        if enrolled {
            pod.is_enrolled().await?;
        }
        Ok(pod)
    }
}

impl IntoFuture for PodRequest {
    type Output = Result<MeshPod, MeshError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// A pod of the mesh; everything of the testbed's [`Pod`] is there too. A clone is the same
/// pod. It holds its mesh, and the mesh holds the pod's programs.
#[derive(Clone)]
pub struct MeshPod {
    mesh: Mesh,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pod: Pod,
    account: String,
    labels: Mutex<BTreeMap<String, String>>,
    programs: Mutex<Vec<Process>>,
}

impl Deref for MeshPod {
    type Target = Pod;

    fn deref(&self) -> &Pod {
        &self.shared.pod
    }
}

impl MeshPod {
    fn write_manifest(&self) -> Result<(), MeshError> {
        let labels = self.shared.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<(&str, &str)> =
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.mesh.apply(&manifests::pod(self, &self.shared.account, &pairs))
    }

    /// Its identity, `spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT`.
    pub fn identity(&self) -> String {
        format!("spiffe://{}", self.principal())
    }

    /// Its identity as policies write it.
    pub fn principal(&self) -> String {
        format!("cluster.local/ns/{}/sa/{}", self.namespace(), self.shared.account)
    }

    /// The name of its workload in the mesh.
    pub fn workload(&self) -> String {
        format!("Kubernetes//Pod/{}", self.full_name())
    }

    /// The proxy of its node.
    ///
    /// # Errors
    /// `Missing` if the mesh has no such node.
    pub fn ztunnel(&self) -> Result<super::Ztunnel, MeshError> {
        Ok(self.mesh.node(self.node().name())?.ztunnel())
    }

    /// Sets a label of the pod, or takes it away.
    ///
    /// # Errors
    /// `Manifest`.
    pub fn label(&self, key: &str, value: Option<&str>) -> Result<(), MeshError> {
        {
            let mut labels = self.shared.labels.lock().unwrap_or_else(PoisonError::into_inner);
            match value {
                Some(value) => drop(labels.insert(key.to_owned(), value.to_owned())),
                None => drop(labels.remove(key)),
            }
        }
        self.write_manifest()
    }

    /// Waits until every ztunnel reaches it through a tunnel.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn is_enrolled(&self) -> Result<Duration, MeshError> {
        self.everywhere("HBONE").await
    }

    /// Waits until every ztunnel reaches it by plain TCP.
    ///
    /// # Errors
    /// `Late` with the logs.
    pub async fn is_plain(&self) -> Result<Duration, MeshError> {
        self.everywhere("NONE").await
    }

    async fn everywhere(&self, protocol: &str) -> Result<Duration, MeshError> {
        let (mesh, uid) = (&self.mesh, self.workload());
        let what = format!("every ztunnel knows {} with protocol {protocol}", self.full_name());
        let is = |dump: &Value| {
            let text = |workload: &Value, key: &str, wanted: &str| {
                workload.get(key).and_then(Value::as_str) == Some(wanted)
            };
            let workloads = dump.get("workloads").and_then(Value::as_array);
            workloads.is_some_and(|all| {
                let mut found = all.iter().filter(|workload| text(workload, "uid", &uid));
                found.any(|workload| text(workload, "protocol", protocol))
            })
        };
        mesh.inner.until(what, PATIENCE, async || mesh.every_dump(is).await).await
    }

    /// Starts a program that goes on while the pod lives, and waits until it listens on `port`.
    ///
    /// # Errors
    /// `Late` with its output if it does not listen in time.
    pub async fn serve(&self, command: &Command, port: u16) -> Result<(), MeshError> {
        let mut process = command.spawn()?;
        let mut running = true;
        let what = format!("{} listens on port {port}", process.name());
        let waited = eventually(what, PATIENCE, async || {
            running = process.is_running();
            !running || listens(self.netns(), port)
        });
        let logs = |process: &Process| format!("{}\n{}", process.stdout(), process.stderr());
        match waited.await {
            Err(late) => return Err(MeshError::Late { late, logs: logs(&process) }),
            Ok(_) if !running => {
                let finished = process.wait(PATIENCE).await?;
                let name = format!("{} (it ended): {}", self.full_name(), finished.text());
                return Err(MeshError::Missing { object: "server in", name });
            }
            Ok(_) => {}
        }
        self.keep(process);
        Ok(())
    }

    /// Keeps a program running while the pod lives.
    pub fn keep(&self, process: Process) {
        self.shared.programs.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    /// Starts the testbed's echo server on a port.
    ///
    /// # Errors
    /// `Process` if it is not built.
    pub async fn echo(&self, port: u16) -> Result<(), MeshError> {
        let program = process::program("bed-echo")?;
        self.serve(&self.command(program).arg("--port").arg(port.to_string()), port).await
    }

    /// The testbed's load program, against an echo server; see its `WHAT`s.
    ///
    /// # Errors
    /// `Process` if it is not built.
    pub fn load(&self, what: &str, to: SocketAddr) -> Result<Command, MeshError> {
        let program = process::program("bed-load")?;
        Ok(self.command(program).arg(what).arg(to.to_string()).named(&format!("load-{what}")))
    }

    /// Runs curl with these arguments, at most 30 s; `--silent --show-error` are there.
    ///
    /// # Errors
    /// `Process` if it does not end.
    pub async fn curl<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Finished, MeshError> {
        let command = self.command("curl").args(["--silent", "--show-error", "--max-time", "20"]);
        Ok(command.args(args).run(PATIENCE).await?)
    }

    /// An address of the pod and a port.
    pub fn at(&self, ip: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(ip, port)
    }

    /// Its IPv4 address and a port.
    pub fn at4(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip4().into(), port)
    }

    /// Its IPv6 address and a port.
    pub fn at6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip6().into(), port)
    }

    /// Deletes the pod: manifest, programs, namespace.
    ///
    /// # Errors
    /// `Bed` if the network namespace cannot be removed.
    pub async fn delete(&self) -> Result<(), MeshError> {
        self.mesh.inner.lock().pods.remove(self.full_name());
        self.mesh.remove("Pod", self.namespace(), self.name())?;
        self.shared.programs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(self.shared.pod.remove().await?)
    }
}

/// Whether a TCP socket of the namespace listens on a port, without touching it: proc(5).
fn listens(netns: &Netns, port: u16) -> bool {
    let Some(pid) = netns.processes().first().copied() else { return false };
    let wanted = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|family| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{family}")).unwrap_or_default();
        text.lines().any(|line| {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1).unwrap_or_default();
            local.ends_with(&wanted) && fields.nth(1) == Some("0A")
        })
    })
}
