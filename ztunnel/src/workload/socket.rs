//! Packets of the node agent with their descriptor.
//!
//! Unsafe because neither tokio nor nix own descriptors here: tokio watches one, the kernel
//! hands over another; see the two blocks.

#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect,
    getsockopt, recvmsg, send, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Longest packet in either direction, in bytes (docs/wire.md, "Pods of a node").
pub(super) const MAX_PACKET: usize = 1024;
/// `SCM_MAX_FD` of the kernel: room for all that one packet can carry, so that none is lost
/// in a truncated control message without being closed.
const MAX_RIGHTS: usize = 253;

/// One packet. Descriptors that are not taken out are closed with it.
pub(super) struct Packet {
    pub(super) data: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// A connected SEQPACKET socket.
pub(super) struct PacketSocket(AsyncFd<OwnedFd>);

impl PacketSocket {
    /// Connects to the agent's socket. Never blocks: a full queue of the listener is an error.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let peer = getsockopt(&fd, PeerCredentials)?.uid();
        if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
            let found = format!("the node agent has uid {peer}, root was expected");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, found));
        }
        // SAFETY: an `OwnedFd` keeps its descriptor open and gives the same number for as long
        // as it lives, and it lives in the `AsyncFd` until that is deregistered.
        Ok(Self(unsafe { AsyncFd::register(fd) }?))
    }

    /// Sends one packet. Cancel safe.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        let write = |fd: &OwnedFd| Ok(send(fd.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL)?);
        self.0.async_io(Interest::WRITABLE, write).await.map(drop)
    }

    /// Receives one packet; none at the end of the connection. Cancel safe.
    ///
    /// # Errors
    /// `InvalidData` for a truncated packet; its descriptors are closed.
    pub(super) async fn receive(&self) -> io::Result<Option<Packet>> {
        self.0.async_io(Interest::READABLE, receive).await
    }
}

fn receive(fd: &OwnedFd) -> io::Result<Option<Packet>> {
    let mut buffer = [0; MAX_PACKET];
    let mut control = nix::cmsg_space!([RawFd; MAX_RIGHTS]);
    let mut data = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(fd.as_raw_fd(), &mut data, Some(&mut control), flags)?;
    let (length, received) = (message.bytes, message.flags);
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(rights) = control {
            // SAFETY: the kernel made these descriptors for this call alone; nobody else
            // knows their numbers, so each gets exactly one owner.
            descriptors.extend(rights.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
        }
    }
    if received.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        let text = format!("a packet over {MAX_PACKET} bytes, or truncated descriptors");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    if length == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    let data = buffer.get(..length).unwrap_or_default().to_vec();
    Ok(Some(Packet { data, descriptors }))
}
