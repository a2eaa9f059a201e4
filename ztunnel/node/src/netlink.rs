//! Netlink sockets of network namespaces, for routes and links.

use std::io;

use hbone::netns::{Netns, NetnsError};
use nix::errno::Errno;
use rtnetlink::Handle;

/// Why there is no netlink socket.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The namespace cannot be entered.
    #[error("cannot enter the pod's network namespace")]
    Netns(#[from] NetnsError),
    /// No socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] io::Error),
}

/// A netlink socket of a namespace; its task ends with it.
pub(crate) struct Netlink {
    pub(crate) handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Netlink {
    /// Opens one.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub(crate) fn connect(netns: &Netns) -> Result<Self, NetlinkError> {
        let connect = netns.run(rtnetlink::new_connection)?;
        let (connection, handle, _) = connect.map_err(NetlinkError::Socket)?;
        Ok(Self { handle, task: tokio::spawn(connection) })
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the kernel said.
pub(crate) fn errno(error: &rtnetlink::Error) -> Option<Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            message.code.map(|code| Errno::from_raw(code.get().saturating_abs()))
        }
        _ => None,
    }
}
