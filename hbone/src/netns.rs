//! A network namespace as a value: held by a descriptor, named by device and inode, entered
//! by one thread for the length of a closure.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, fstatfs};

/// `NSFS_MAGIC` of `linux/magic.h`: the file system of namespace handles.
const NSFS: FsType = FsType(0x6e73_6673);

/// Which namespace a handle means: device and inode, never a path or a descriptor's number,
/// both of which come to mean another one (docs/wire.md, "Pods of a node").
///
/// An inode may be given again once the namespace is gone, so it identifies a namespace only
/// while a handle to it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    /// Device of the namespace file system.
    pub dev: u64,
    /// Inode in it.
    pub inode: u64,
}

/// A network namespace that lives at least as long as this value.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    id: NetnsId,
}

/// Why a descriptor or a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The descriptor is of an ordinary file, a socket or anything else.
    #[error("the descriptor is no namespace: its file system is {0:#x}, nsfs is 0x6e736673")]
    NotNsfs(i64),
    /// A namespace that cannot be entered as a network namespace: one of another type, or
    /// one for which we lack `CAP_SYS_ADMIN`.
    #[error("cannot enter it as a network namespace")]
    Enter(#[source] nix::Error),
    /// The descriptor could not be examined, or the thread's own namespace not be opened.
    #[error("cannot examine the namespace")]
    Examine(#[source] io::Error),
}

impl From<NetnsError> for io::Error {
    fn from(error: NetnsError) -> Self {
        let kind = match &error {
            NetnsError::NotNsfs(_) => io::ErrorKind::InvalidInput,
            NetnsError::Enter(errno) => io::Error::from(*errno).kind(),
            NetnsError::Examine(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.inode)
    }
}

impl Netns {
    /// The namespace in which the calling thread is.
    pub fn current() -> Result<Self, NetnsError> {
        let file = std::fs::File::open("/proc/thread-self/ns/net").map_err(NetnsError::Examine)?;
        let meta = file.metadata().map_err(NetnsError::Examine)?;
        let id = NetnsId { dev: meta.dev(), inode: meta.ino() };
        Ok(Self { fd: file.into(), id })
    }

    /// A new, empty namespace (its loopback is down), made on a thread of its own; the
    /// caller's namespace does not change. Needs `CAP_SYS_ADMIN`.
    pub fn create() -> Result<Self, NetnsError> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(NetnsError::Enter)?;
            Self::current()
        };
        let thread = std::thread::Builder::new().name("netns".into());
        let thread = thread.spawn(make).map_err(NetnsError::Examine)?;
        let died = |_| NetnsError::Examine(io::Error::other("the thread that made it died"));
        thread.join().map_err(died)?
    }

    /// Takes a descriptor that somebody handed over, after checking that it is a network
    /// namespace: by its file system, and by entering it once.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, NetnsError> {
        let stat = fstatfs(&fd).map_err(|errno| NetnsError::Examine(errno.into()))?;
        if stat.filesystem_type() != NSFS {
            return Err(NetnsError::NotNsfs(stat.filesystem_type().0));
        }
        let file = std::fs::File::from(fd);
        let meta = file.metadata().map_err(NetnsError::Examine)?;
        let id = NetnsId { dev: meta.dev(), inode: meta.ino() };
        let netns = Self { fd: file.into(), id };
        netns.run(|| ())?;
        Ok(netns)
    }

    /// Device and inode.
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// A second handle to the same namespace.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, id: self.id })
    }

    /// Runs `work` with the calling thread inside this namespace, and brings the thread back
    /// to the one it came from. What `work` opens stays in this namespace.
    ///
    /// `work` must not await, and what it spawns on other threads is not inside.
    ///
    /// # Errors
    /// `Enter` or `Examine`, before `work` ran.
    ///
    /// # Aborts
    /// The process, if the thread cannot return: it would go on to serve others from the
    /// wrong namespace.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, NetnsError> {
        self.run_from(&Self::current()?, work)
    }

    /// As [`Netns::run`], for callers that hold a handle to the namespace of their threads
    /// and so save opening it each time.
    pub fn run_from<T>(&self, home: &Self, work: impl FnOnce() -> T) -> Result<T, NetnsError> {
        setns(&self.fd, CloneFlags::CLONE_NEWNET).map_err(NetnsError::Enter)?;
        let _back = Return(home);
        Ok(work())
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Brings the thread home, also when the work panics.
struct Return<'a>(&'a Netns);

impl Drop for Return<'_> {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.0.fd, CloneFlags::CLONE_NEWNET) {
            tracing::error!(%error, "cannot leave a pod's network namespace");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests;
