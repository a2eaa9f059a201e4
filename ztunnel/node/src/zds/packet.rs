//! AF_UNIX sockets of type SEQPACKET for tokio: packets with at most one descriptor.
//!
//! Unsafe because tokio has no safe way to watch a descriptor; see [`watch`].

#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    getsockopt, listen, recv, sendmsg, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Longest packet in either direction, in bytes (docs/wire.md, "Pods of a node").
pub const MAX_PACKET: usize = 1024;

/// A listening socket. Its file stays until a successor replaces it.
#[derive(Debug)]
pub struct PacketListener {
    fd: AsyncFd<OwnedFd>,
}

/// A connected socket.
#[derive(Debug)]
pub struct PacketSocket {
    fd: AsyncFd<OwnedFd>,
}

impl PacketListener {
    /// Binds `path`, replacing a socket that is there. Call it within a tokio runtime.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags(), None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        listen(&fd, Backlog::new(8)?)?;
        Ok(Self { fd: watch(fd)? })
    }

    /// The next proxy; one that is not root's is refused with an error.
    pub async fn accept(&self) -> io::Result<PacketSocket> {
        let accepted = self.fd.async_io(Interest::READABLE, |fd| Ok(accept4(fd, flags())?)).await?;
        let peer = getsockopt(&accepted, PeerCredentials)?;
        if peer.uid() != 0 {
            let found = format!("the peer has uid {}, root was expected", peer.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, found));
        }
        Ok(PacketSocket { fd: watch(accepted)? })
    }
}

impl PacketSocket {
    /// Sends one packet, with a descriptor if there is one.
    pub async fn send(&self, packet: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let fd = fd.map(|fd| [fd.as_raw_fd()]);
        let rights = fd.as_ref().map(|fd| ControlMessage::ScmRights(fd));
        let send = |socket: &OwnedFd| {
            let data = [IoSlice::new(packet)];
            let flags = MsgFlags::MSG_NOSIGNAL;
            let rights = rights.as_slice();
            Ok(sendmsg::<()>(socket.as_raw_fd(), &data, rights, flags, None)?)
        };
        self.fd.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Receives one packet; an empty one is the end. Descriptors that come with it are
    /// closed by the kernel, because no room is given for them. Cancel safe.
    pub async fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; MAX_PACKET + 1];
        let receive =
            |socket: &OwnedFd| Ok(recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?);
        let length = self.fd.async_io(Interest::READABLE, receive).await?;
        if length > MAX_PACKET {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet over 1024 bytes"));
        }
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }
}

fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its descriptor open and gives the same number for as long as
    // it lives, and it lives in the `AsyncFd` until that is deregistered.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

fn flags() -> SockFlag {
    SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK
}
