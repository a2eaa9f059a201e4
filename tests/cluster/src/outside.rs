//! A cluster as seen from the machine: started, ended and reached.
//!
//! Its API server has an address on a wire of its own into the sandbox, so that kubectl and
//! browsers of this machine reach it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::runs::{self, Run};

use crate::certificates::Pair;
use crate::folders;
use crate::kubectl::{self, Kubectl};
use crate::node::remove_cgroups;
use crate::plan::{API_PORT, Plan};

/// How long a cluster may take to come up or to go.
const LIMIT: Duration = Duration::from_mins(5);

/// A cluster by its name.
#[derive(Debug)]
pub struct Outside {
    name: String,
    plan: Plan,
}

/// The name of a cluster's sandbox.
pub fn run_name(name: &str) -> String {
    format!("cluster-{name}")
}

impl Outside {
    /// The cluster `name`, whether or not it runs.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), plan: Plan::new(name, 0, &folders::target(), Path::new("")) }
    }

    /// Both ends of the wire into the sandbox: this machine's and the cluster's.
    pub fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        // 198.18.0.0/15 is for tests of this kind (RFC 2544).
        let sum = self.name.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        (Ipv4Addr::new(198, 18, sum, 1), Ipv4Addr::new(198, 18, sum, 2))
    }

    /// Where `up` puts the kubeconfig: `target/cluster/kubeconfig` for the cluster `main`.
    pub fn kubeconfig(&self) -> PathBuf {
        let name = match self.name.as_str() {
            "main" => "kubeconfig".to_owned(),
            other => format!("{other}.kubeconfig"),
        };
        folders::target().join("cluster").join(name)
    }

    fn file(&self, suffix: &str) -> PathBuf {
        folders::target().join("cluster").join(format!("{}.{suffix}", self.name))
    }

    fn interface(&self) -> String {
        format!("ac-{}", self.name)
    }

    fn sandbox(&self) -> Option<Run> {
        runs::find(Some(&run_name(&self.name))).ok()
    }

    /// Tells those outside that everything is up.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn mark_ready(&self) -> anyhow::Result<()> {
        Ok(fs::write(self.file("ready"), "")?)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it runs already or does not come up, with the end of its log.
    pub fn up(&self, nodes: u8) -> anyhow::Result<()> {
        ensure!(nix::unistd::geteuid().is_root(), "containers need root: run it as root");
        ensure!(self.sandbox().is_none(), "the cluster {} runs already", self.name);
        self.clean();
        folders::binaries()?;
        let log = self.file("log");
        let mut child = self.start(nodes, &log)?;
        self.follow(&mut child, &log)?;
        if let Err(error) = self.wire().and_then(|()| self.write_kubeconfig()) {
            self.down()?;
            return Err(error);
        }
        println!("export KUBECONFIG={}", self.kubeconfig().display());
        Ok(())
    }

    fn start(&self, nodes: u8, log: &Path) -> anyhow::Result<Child> {
        let output = fs::File::create(log).with_context(|| log.display().to_string())?;
        let mut command = Command::new("setsid");
        command.arg(std::env::current_exe()?).args(["run", "--name", &self.name]);
        command.args(["--nodes", &nodes.to_string()]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.spawn().context("setsid could not be started; install util-linux")
    }

    /// Shows the log until the cluster is ready.
    fn follow(&self, child: &mut Child, log: &Path) -> anyhow::Result<()> {
        let (began, mut shown) = (Instant::now(), 0);
        loop {
            let text = fs::read_to_string(log).unwrap_or_default();
            eprint!("{}", text.get(shown..).unwrap_or_default());
            shown = text.len();
            if self.file("ready").exists() {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                self.clean();
                bail!("the cluster ended with {status}; see {}", log.display());
            }
            if began.elapsed() > LIMIT {
                self.down()?;
                bail!("the cluster was not ready within {LIMIT:?}; see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The wire between this machine and the sandbox.
    fn wire(&self) -> anyhow::Result<()> {
        let first = self.sandbox().context("the sandbox is gone")?.first.to_string();
        let (ours, theirs) = self.addresses();
        let name = self.interface();
        let taken =
            Command::new("ip").args(["-o", "addr", "show", "to", &ours.to_string()]).output()?;
        let taken = String::from_utf8_lossy(&taken.stdout).into_owned();
        ensure!(taken.is_empty(), "{ours} is taken; choose another --name: {}", taken.trim());
        let (ours, theirs) = (format!("{ours}/30"), format!("{theirs}/30"));
        let ip = |args: &[&str]| -> anyhow::Result<()> {
            let status = Command::new("ip").args(args).status().context("ip: install iproute2")?;
            ensure!(status.success(), "ip {} failed", args.join(" "));
            Ok(())
        };
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "machine", "netns", &first])?;
        ip(&["addr", "add", &ours, "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        for args in
            [["addr", "add", &theirs, "dev", "machine"], ["link", "set", "machine", "up", ""]]
        {
            let args = args.iter().filter(|arg| !arg.is_empty());
            let mut command = Command::new("nsenter");
            command.args(["-t", &first, "-n", "ip"]).args(args);
            ensure!(command.status()?.success(), "the wire into the sandbox failed");
        }
        Ok(())
    }

    fn write_kubeconfig(&self) -> anyhow::Result<()> {
        let folder = self.plan.certificates();
        let pair = Pair { certificate: folder.join("admin.crt"), key: folder.join("admin.key") };
        let server = format!("https://{}:{API_PORT}", self.addresses().1);
        kubectl::write_config(&self.kubeconfig(), &server, &folder.join("ca.crt"), &pair)
    }

    /// Ends it and removes everything but its log.
    ///
    /// # Errors
    /// If its processes do not go.
    pub fn down(&self) -> anyhow::Result<()> {
        if let Some(run) = self.sandbox() {
            // PID 1: the kernel takes every other process of the sandbox along.
            kill(Pid::from_raw(run.first), Signal::SIGKILL)?;
            let began = Instant::now();
            while self.sandbox().is_some() {
                ensure!(began.elapsed() < LIMIT, "the cluster {} does not end", self.name);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.clean();
        Ok(())
    }

    /// Removes what a cluster that is gone has left.
    fn clean(&self) {
        let prefix = self.plan.cgroup("");
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let groups =
            hierarchies.flat_map(|h| fs::read_dir(h.path()).into_iter().flatten().flatten());
        let names = groups.map(|group| group.file_name().to_string_lossy().into_owned());
        for name in names.filter(|name| name.starts_with(&prefix)).collect::<Vec<_>>() {
            remove_cgroups(&name);
        }
        for file in [self.file("ready"), self.kubeconfig()] {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir_all(&self.plan.home);
    }

    /// Prints what runs.
    ///
    /// # Errors
    /// If it runs and does not answer.
    pub fn status(&self) -> anyhow::Result<()> {
        if self.sandbox().is_none() {
            println!("the cluster {} does not run; `./dev cluster up` starts it", self.name);
            return Ok(());
        }
        let program = folders::binaries()?.path("kubectl");
        let kubectl = Kubectl::new(program, self.kubeconfig());
        print!("{}", kubectl.run(&["get", "nodes", "-o", "wide"])?);
        print!("{}", kubectl.run(&["get", "pods", "-A", "-o", "wide"])?);
        Ok(())
    }
}
