//! Opening a path that a request names, without being led elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use hbone::netns::{Netns, NetnsError, NetnsId};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::Place;

/// Longest path that is opened, in bytes.
const MAX_PATH: usize = 1024;

/// Why a path is not taken as a pod's network namespace.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not of the form that a container runtime gives.
    #[error("netns {0:?}: write an absolute path without '..', at most 1024 bytes")]
    Form(String),
    /// It does not exist, or one of its parts is a symbolic link.
    #[error("netns {path:?} cannot be opened without following links")]
    Open {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no network namespace.
    #[error("netns {path:?}")]
    NotNetns {
        /// The path.
        path: PathBuf,
        /// Why.
        source: NetnsError,
    },
    /// The node's own, or the agent's: rules there would redirect everybody.
    #[error("netns {0:?} is the network namespace of the node, not of a pod")]
    Node(PathBuf),
}

/// Opens the network namespace at `path`; `node` are those that no pod may name.
///
/// No part of the path may be a symbolic link, except `/var/run`, which is one to `/run` on
/// most systems, and the last part of `/proc/<pid>/ns/net`, which the kernel resolves.
pub fn open(path: &Path, node: &[NetnsId]) -> Result<Place, OpenError> {
    let form = || OpenError::Form(path.to_string_lossy().chars().take(120).collect());
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if path.as_os_str().len() > MAX_PATH || !path.is_absolute() || !path.components().all(plain) {
        return Err(form());
    }
    let failed = |source| OpenError::Open { path: path.into(), source };
    let fd = if is_process_path(path) {
        open_process(path).map_err(failed)?
    } else {
        open_plain(path, OFlag::O_RDONLY).map_err(failed)?
    };
    let netns =
        Netns::from_fd(fd).map_err(|source| OpenError::NotNetns { path: path.into(), source })?;
    if node.contains(&netns.id()) {
        return Err(OpenError::Node(path.into()));
    }
    Ok(Place { netns: netns.into(), path: path.into() })
}

/// `/proc/<pid>/ns/net`.
fn is_process_path(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    matches!(parts[..], ["/", "proc", pid, "ns", "net"] if pid.bytes().all(|b| b.is_ascii_digit()))
}

fn open_process(path: &Path) -> io::Result<OwnedFd> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = open_plain(directory, OFlag::O_DIRECTORY)?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::openat(&directory, "net", flags, nix::sys::stat::Mode::empty())?)
}

fn open_plain(path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let path = match path.strip_prefix("/var/run") {
        Ok(rest) if leads_to_run() => Path::new("/run").join(rest),
        _ => path.into(),
    };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let root = File::open("/")?;
    let relative = path.strip_prefix("/").unwrap_or(&path);
    Ok(openat2(root, relative, how)?)
}

fn leads_to_run() -> bool {
    let target = std::fs::read_link("/var/run");
    target.is_ok_and(|target| target == Path::new("/run") || target == Path::new("../run"))
}
