//! A network namespace with a name.
//!
//! It is kept by a bind mount at `/run/netns/NAME`, where iproute2 and CNI expect it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where named namespaces are.
pub const DIR: &str = "/run/netns";

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
#[error("network namespace {name}: {step}: {source}")]
pub struct NetnsError {
    name: String,
    step: &'static str,
    source: io::Error,
}

/// A network namespace. Dropping the value changes nothing; see [`Netns::remove`].
#[derive(Debug, Clone)]
pub struct Netns {
    name: String,
    path: PathBuf,
    inode: u64,
}

impl Netns {
    /// Makes a new, empty namespace.
    ///
    /// # Errors
    /// If the name is taken or the system refuses.
    pub fn create(name: &str) -> Result<Self, NetnsError> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET)
                        .map_err(|error| failed(name, "unshare", error.into()))?;
                    Self::adopt(name)
                })
                .join()
                .unwrap_or_else(|_| Err(failed(name, "thread", io::ErrorKind::Other.into())))
        })
    }

    /// Gives the calling thread's namespace a name.
    ///
    /// # Errors
    /// If the name is taken or the system refuses.
    pub fn adopt(name: &str) -> Result<Self, NetnsError> {
        let path = Path::new(DIR).join(name);
        let none: Option<&str> = None;
        File::create_new(&path).map_err(|error| failed(name, "creating its file", error))?;
        mount(Some("/proc/thread-self/ns/net"), &path, none, MsFlags::MS_BIND, none)
            .map_err(|error| failed(name, "mounting", error.into()))?;
        Self::open(name)
    }

    /// The namespace that has this name already.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(name: &str) -> Result<Self, NetnsError> {
        let path = Path::new(DIR).join(name);
        let inode = fs::metadata(&path).map_err(|error| failed(name, "opening", error))?.ino();
        Ok(Self { name: name.to_owned(), path, inode })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, `/run/netns/NAME`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's number of the namespace, as in `stat`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// A descriptor of the namespace.
    ///
    /// # Errors
    /// If it was removed.
    pub fn fd(&self) -> Result<OwnedFd, NetnsError> {
        let file = File::open(&self.path).map_err(|error| failed(&self.name, "opening", error))?;
        Ok(file.into())
    }

    /// Calls `work` on a thread of its own inside the namespace and waits for it. Sockets
    /// opened and processes started by `work` belong to the namespace.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let fd = self.fd()?;
        std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(fd, CloneFlags::CLONE_NEWNET)
                        .map_err(|error| failed(&self.name, "setns", error.into()))?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|_| Err(failed(&self.name, "thread", io::ErrorKind::Other.into())))
        })
    }

    /// Writes kernel settings, `net.` names with `/` between the parts and their values. One
    /// that this kernel does not have is left out.
    ///
    /// # Errors
    /// If a value is refused.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<(), NetnsError> {
        self.run(|| {
            for (key, value) in settings {
                match fs::write(format!("/proc/sys/net/{key}"), value) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&self.name, "sysctl", error));
                    }
                    _ => {}
                }
            }
            Ok(())
        })?
    }

    /// The processes whose namespace this is.
    pub fn processes(&self) -> Vec<i32> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| {
                fs::metadata(format!("/proc/{pid}/ns/net"))
                    .is_ok_and(|found| found.ino() == self.inode)
            })
            .collect()
    }

    /// Takes the name away; the namespace ends with its last process, socket and descriptor.
    ///
    /// # Errors
    /// If it was removed before.
    pub fn remove(&self) -> Result<(), NetnsError> {
        umount2(&self.path, MntFlags::MNT_DETACH)
            .map_err(|error| failed(&self.name, "unmounting", error.into()))?;
        fs::remove_file(&self.path).map_err(|error| failed(&self.name, "removing its file", error))
    }
}

fn failed(name: &str, step: &'static str, source: io::Error) -> NetnsError {
    NetnsError { name: name.to_owned(), step, source }
}
