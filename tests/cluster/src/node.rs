//! One node: its files, its start, and what can befall it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use testbed::capture::{Capture, CaptureError};
use testbed::netns::Netns;
use testbed::sandbox::PRIVATE_VARIABLES;

use crate::binaries::Binaries;
use crate::certificates::Authority;
use crate::image::{self, Image};
use crate::kubectl;
use crate::network;
use crate::node_init::Init;
use crate::plan::{Addresses, DNS_SERVICE, DOMAIN, GATEWAY, PODS, Plan};
use crate::service::Service;

/// How long containerd may take until it answers, and a node until it is gone.
const READY: Duration = Duration::from_mins(1);

/// Where systems keep the plugins of container networks.
const CNI_PLUGINS: [&str; 3] = ["/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin"];

/// A node of the cluster.
#[derive(Debug)]
pub struct Node {
    name: String,
    disk: PathBuf,
    init: PathBuf,
    program: PathBuf,
    cgroup: String,
    binaries: Binaries,
    netns: Netns,
    child: Option<Child>,
}

impl Node {
    /// Makes its wires and files; nothing runs yet.
    ///
    /// # Errors
    /// If a file cannot be written or the network refuses.
    pub fn create(
        plan: &Plan,
        name: &str,
        addresses: Addresses,
        binaries: &Binaries,
        authority: &Authority,
    ) -> anyhow::Result<Self> {
        let disk = plan.disk(name);
        let netns = network::node(plan, name, addresses)?;
        for folder in ["etc", "cni/conf", "cni/bin", "logs", "lib", "images"] {
            std::fs::create_dir_all(disk.join(folder))?;
        }
        let files = Files { plan, name, addresses, disk: &disk, binaries };
        files.papers(authority)?;
        files.containerd()?;
        files.kubelet()?;
        files.kube_proxy()?;
        files.cni()?;
        let init = disk.join("etc/init.json");
        std::fs::write(&init, serde_json::to_vec_pretty(&files.init())?)?;
        Ok(Self {
            name: name.to_owned(),
            init,
            program: plan.program.clone(),
            cgroup: plan.cgroup(name),
            binaries: binaries.clone(),
            netns,
            disk,
            child: None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Records what its pods say to other nodes, and hear from them.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn capture_pods(&self) -> Result<Capture, CaptureError> {
        // All pods, of all nodes: first of each range.
        let pod = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets()[..2] == [10, 202],
            IpAddr::V6(ip) => ip.segments()[..2] == [0xfd00, 0x202],
        };
        Capture::start(&self.netns, "eth0", move |from, to| pod(from) && pod(to))
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Boots it and waits until containerd answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn boot(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns.path().display()));
        command.args(["unshare", "-m", "-u", "-p", "-f", "--kill-child"]);
        command.args(["--propagation", "private", "--mount-proc"]);
        command.arg(&self.program).arg("node-init").arg(&self.init);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.disk.join("logs/init.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        self.child = Some(command.spawn().context("starting the node")?);
        self.answers().await
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let version = self.command("ctr").map(|mut c| c.arg("version").output());
            if matches!(version, Ok(Ok(output)) if output.status.success()) {
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                let log = std::fs::read_to_string(self.disk.join("logs/init.log"));
                bail!("{} ended with {status}:\n{}", self.name, log.unwrap_or_default());
            }
            if began.elapsed() > READY {
                bail!("containerd of {} does not answer", self.name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The first process, as numbered in the sandbox.
    fn first(&self) -> anyhow::Result<i32> {
        // unshare(1) has one child.
        let child = self.child.as_ref().context("the node is down")?.id();
        let children = std::fs::read_to_string(format!("/proc/{child}/task/{child}/children"))?;
        children.split_whitespace().next().and_then(|n| n.parse().ok()).context("no first process")
    }

    /// A program of the cluster inside the node: its mounts, processes and network.
    ///
    /// # Errors
    /// If the node is down.
    pub fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = self.enter()?;
        command.arg(self.binaries.path(program));
        Ok(command)
    }

    /// nsenter(1) into the node; the program and its arguments are to be added.
    ///
    /// # Errors
    /// If the node is down.
    pub fn enter(&self) -> anyhow::Result<Command> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first()?.to_string(), "-m", "-n", "-u", "-p", "--"]);
        Ok(command)
    }

    /// Makes an image known to the node.
    ///
    /// # Errors
    /// If containerd refuses it.
    pub fn import(&self, image: &Image) -> anyhow::Result<()> {
        let archive = self.disk.join("images").join(image.file_name());
        image.write(&archive)?;
        let mut command = self.command("ctr")?;
        command.args(["-n", "k8s.io", "images", "import", "--no-unpack"]);
        let output = command.arg(&archive).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "image {} of {}: {said}", image.name(), self.name);
        std::fs::remove_file(archive)?;
        Ok(())
    }

    /// Pulls its plug: every process is gone at once, the disk stays. [`Self::boot`] starts it
    /// again.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        let first = self.first();
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // unshare(1) takes the first process with it, and that its whole PID namespace.
        child.kill()?;
        child.wait()?;
        let Ok(first) = first else { return Ok(()) };
        // It is gone when all others are.
        let (proc, began) = (format!("/proc/{first}"), Instant::now());
        while Path::new(&proc).exists() {
            ensure!(began.elapsed() < READY, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Cuts its link, or joins it again.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set_link(&self, up: bool) -> anyhow::Result<()> {
        network::set_link(&self.name, up)
    }

    /// Removes what a node leaves in the kernel when its processes are gone.
    pub fn remove_cgroups(&self) {
        remove_cgroups(&self.cgroup);
    }
}

/// Removes a cgroup and those below it from every hierarchy, as far as they are empty.
pub fn remove_cgroups(name: &str) {
    let Ok(hierarchies) = std::fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in hierarchies.flatten() {
        remove_tree(&hierarchy.path().join(name));
    }
}

fn remove_tree(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        remove_tree(&entry.path());
    }
    // One that is in use is left for the next start.
    let _ = std::fs::remove_dir(folder);
}

/// Writes what the programs of a node read.
struct Files<'a> {
    plan: &'a Plan,
    name: &'a str,
    addresses: Addresses,
    disk: &'a Path,
    binaries: &'a Binaries,
}

impl Files<'_> {
    fn etc(&self, name: &str) -> PathBuf {
        self.disk.join("etc").join(name)
    }

    fn text(&self, name: &str) -> String {
        self.etc(name).display().to_string()
    }

    fn papers(&self, authority: &Authority) -> anyhow::Result<()> {
        let root = self.plan.certificates().join("ca.crt");
        let (v4, v6) = self.addresses.own();
        let ips: [IpAddr; 2] = [v4.into(), v6.into()];
        let user = format!("system:node:{}", self.name);
        let file = format!("kubelet-{}", self.name);
        let kubelet = authority.issue(&file, &user, &["system:nodes"], &[self.name], &ips)?;
        let config = self.etc("kubelet.kubeconfig");
        kubectl::write_config(&config, &self.plan.api(), &root, &kubelet)?;
        std::fs::copy(&kubelet.certificate, self.etc("kubelet.crt"))?;
        std::fs::copy(&kubelet.key, self.etc("kubelet.key"))?;
        std::fs::copy(&root, self.etc("ca.crt"))?;
        let file = format!("proxy-{}", self.name);
        let proxy =
            authority.issue(&file, "system:kube-proxy", &["system:node-proxier"], &[], &[])?;
        kubectl::write_config(&self.etc("proxy.kubeconfig"), &self.plan.api(), &root, &proxy)?;
        std::fs::write(self.etc("resolv.conf"), format!("nameserver {GATEWAY}\n"))?;
        Ok(())
    }

    fn containerd(&self) -> anyhow::Result<()> {
        let config = format!(
            "version = 3\n\
             root = \"/var/lib/containerd\"\n\
             state = \"/run/containerd\"\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\n\
             sandbox = \"{pause}\"\n\
             [plugins.'io.containerd.cri.v1.runtime']\n\
             restrict_oom_score_adj = true\n\
             disable_apparmor = true\n\
             [plugins.'io.containerd.cri.v1.runtime'.cni]\n\
             bin_dirs = [\"/opt/cni/bin\"]\n\
             conf_dir = \"/etc/cni/net.d\"\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n\
             SystemdCgroup = false\n",
            pause = image::PAUSE,
        );
        std::fs::write(self.etc("containerd.toml"), config)?;
        Ok(())
    }

    fn kubelet(&self) -> anyhow::Result<()> {
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.etc("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": self.etc("kubelet.crt"),
            "tlsPrivateKeyFile": self.etc("kubelet.key"),
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.plan.cgroup(self.name)),
            "failCgroupV1": false,
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "maxOpenFiles": 20_000,
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": DOMAIN,
            "resolvConf": self.etc("resolv.conf"),
            "evictionHard": {"memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "localStorageCapacityIsolation": false,
            "nodeStatusUpdateFrequency": "5s",
            "serializeImagePulls": false,
            "volumePluginDir": "/var/lib/kubelet/plugins/volume",
        });
        write_json(&self.etc("kubelet.json"), &config)
    }

    fn kube_proxy(&self) -> anyhow::Result<()> {
        let config = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": self.etc("proxy.kubeconfig")},
            "mode": "nftables",
            "clusterCIDR": PODS,
            "hostnameOverride": self.name,
            // Read-only in a network namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
            "nftables": {"syncPeriod": "30s", "minSyncPeriod": "50ms"},
        });
        write_json(&self.etc("kube-proxy.json"), &config)
    }

    fn cni(&self) -> anyhow::Result<()> {
        let (v4, v6) = self.addresses.pods();
        let list = json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": v4}], [{"subnet": v6}]],
                        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        });
        write_json(&self.disk.join("cni/conf/10-pods.conflist"), &list)?;
        let mut folders =
            CNI_PLUGINS.iter().filter(|folder| Path::new(folder).join("bridge").exists());
        let plugins =
            folders.next().context("no CNI plugins; install containernetworking-plugins")?;
        for plugin in std::fs::read_dir(plugins)? {
            let plugin = plugin?;
            let to = self.disk.join("cni/bin").join(plugin.file_name());
            if !to.exists() {
                std::fs::copy(plugin.path(), to)?;
            }
        }
        Ok(())
    }

    fn init(&self) -> Init {
        let logs = self.disk.join("logs");
        let service = |name: &str, args: &[String]| {
            Service::new(self.binaries.path(name), &logs, args.to_vec())
        };
        let (v4, v6) = self.addresses.own();
        let mut kubelet = service(
            "kubelet",
            &[
                format!("--config={}", self.text("kubelet.json")),
                format!("--kubeconfig={}", self.text("kubelet.kubeconfig")),
                format!("--hostname-override={}", self.name),
                format!("--node-ip={v4},{v6}"),
            ],
        );
        kubelet.after = Some("/run/containerd/containerd.sock".into());
        Init {
            name: self.name.to_owned(),
            disk: self.disk.to_owned(),
            cgroup: self.plan.cgroup(self.name),
            path: self.binaries.path("").display().to_string(),
            services: vec![
                service("containerd", &[format!("--config={}", self.text("containerd.toml"))]),
                kubelet,
                service("kube-proxy", &[format!("--config={}", self.text("kube-proxy.json"))]),
            ],
        }
    }
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(value)?)
        .with_context(|| path.display().to_string())
}
