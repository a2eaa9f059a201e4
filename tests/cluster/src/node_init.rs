//! The first process of a node: mounts, cgroups, and programs that are started again when they
//! end, as a service manager would.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, sethostname};
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// Pause between the end of a program and its next start.
const AGAIN: Duration = Duration::from_millis(500);

/// What a node runs.
#[derive(Debug, Deserialize, Serialize)]
pub struct Init {
    /// Its host name.
    pub name: String,
    /// Its disk.
    pub disk: PathBuf,
    /// Its cgroup, in every hierarchy.
    pub cgroup: String,
    /// Folder of the cluster's programs.
    pub path: String,
    /// Its programs, in the order of their start.
    pub services: Vec<Service>,
}

/// Folders of the node's disk, and where its programs see them.
const MOUNTS: [(&str, &str); 7] = [
    ("lib/containerd", "/var/lib/containerd"),
    ("lib/kubelet", "/var/lib/kubelet"),
    ("lib/cni", "/var/lib/cni"),
    ("lib/ambit", "/var/lib/ambit"),
    ("logs/pods", "/var/log/pods"),
    ("cni/conf", "/etc/cni/net.d"),
    ("cni/bin", "/opt/cni/bin"),
];

/// Runs until it is killed.
///
/// # Errors
/// If the node cannot be prepared.
pub fn main(spec: &Path) -> anyhow::Result<()> {
    let init: Init = serde_json::from_slice(&fs::read(spec)?).context("the node's description")?;
    mounts(&init)?;
    sethostname(&init.name).context("host name")?;
    pretend()?;
    sysctl()?;
    cgroups(&init.cgroup)?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", init.path.trim_end_matches('/'));
    serve(&init, &path)
}

fn mounts(init: &Init) -> anyhow::Result<()> {
    let none: Option<&str> = None;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .context("mounting /run")?;
    fs::create_dir_all("/run/netns")?;
    for (from, to) in MOUNTS {
        let from = init.disk.join(from);
        fs::create_dir_all(&from)?;
        fs::create_dir_all(to).with_context(|| to.to_owned())?;
        mount(Some(&from), to, none, MsFlags::MS_BIND, none).with_context(|| to.to_owned())?;
    }
    // Containers see what is mounted later: namespaces of pods, volumes.
    mount(none, "/", none, MsFlags::MS_SHARED | MsFlags::MS_REC, none).context("sharing mounts")?;
    Ok(())
}

/// Settings of the whole machine that a kubelet wants, and changes if they are otherwise.
const WANTED: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Shows the node what its kubelet wants to see; the machine stays as it is.
fn pretend() -> anyhow::Result<()> {
    let none: Option<&str> = None;
    for (name, value) in WANTED {
        let shown = Path::new("/run/sysctl").join(name);
        fs::create_dir_all(shown.parent().unwrap_or(Path::new("/run/sysctl")))?;
        fs::write(&shown, value)?;
        let real = Path::new("/proc/sys").join(name);
        mount(Some(&shown), &real, none, MsFlags::MS_BIND, none)
            .with_context(|| real.display().to_string())?;
    }
    Ok(())
}

/// Of the node's own network namespace.
fn sysctl() -> anyhow::Result<()> {
    for (name, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
    ] {
        fs::write(Path::new("/proc/sys").join(name), value).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Makes the node's cgroup in every hierarchy; that of cpuset must be told what it may use.
fn cgroups(name: &str) -> anyhow::Result<()> {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").context("cgroups")?.flatten() {
        let folder = hierarchy.path();
        if !folder.join("cgroup.procs").exists() || hierarchy.file_type()?.is_symlink() {
            continue;
        }
        let own = folder.join(name);
        fs::create_dir_all(&own).with_context(|| own.display().to_string())?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read_to_string(folder.join(file)) {
                fs::write(own.join(file), value.trim())?;
            }
        }
    }
    Ok(())
}

fn serve(init: &Init, path: &str) -> anyhow::Result<()> {
    let mut running = BTreeMap::new();
    loop {
        for service in &init.services {
            let runs = running.values().any(|name| *name == &service.name);
            let may = service.after.as_ref().is_none_or(|file| file.exists());
            if runs || !may {
                continue;
            }
            match service.spawn_with(path) {
                Ok(child) => drop(running.insert(child.id().cast_signed(), &service.name)),
                Err(error) => eprintln!("{}: {error}", service.name),
            }
        }
        collect(&mut running);
        std::thread::sleep(AGAIN);
    }
}

/// Waits for what has ended, own and orphaned.
fn collect(running: &mut BTreeMap<i32, &String>) {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(status) => {
                if let Some(name) = status.pid().and_then(|pid| running.remove(&pid.as_raw())) {
                    eprintln!("{name} ended: {status:?}");
                }
            }
            Err(_) => {}
        }
    }
}
