//! A packet socket on one interface.
//!
//! The only file that needs `unsafe` for it: `sockaddr_ll` and `PACKET_STATISTICS` have no
//! safe wrapper.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// What the kernel may hold for us: every packet of a busy second.
const BUFFER: usize = 256 * 1024 * 1024;
/// How long a read waits before it says that nothing came.
const PATIENCE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Receives what the interface sends and receives, from the moment this returns.
    pub(super) fn open(device: &str) -> io::Result<Self> {
        let index = if_nametoindex(device)?;
        // Protocol 0 receives nothing until the socket is bound to its interface.
        // SAFETY: socket(2) takes no pointers.
        let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a descriptor that was just opened and that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // A user may not go beyond the machine's limit.
        if setsockopt(&fd, sockopt::RcvBufForce, &BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &BUFFER)?;
        }
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(0, PATIENCE.as_micros() as i64))?;
        // SAFETY: a `sockaddr_ll` of zeroes is a valid value: it holds integers only.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `address` is a `sockaddr_ll` of `length` bytes and outlives the call.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(Self { fd }) }
    }

    /// The next frame's length; `None` if none came for a while.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => Ok(Some(length)),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Frames that came since the last call: those put into the buffer, those that found it full.
    pub(super) fn counts(&self) -> io::Result<(u64, u64)> {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: PACKET_STATISTICS writes one `tpacket_stats`; `stats` is one and `length`
        // says its size; both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // The kernel counts a dropped one as a packet too.
        let (all, dropped) = (u64::from(stats.tp_packets), u64::from(stats.tp_drops));
        Ok((all.saturating_sub(dropped), dropped))
    }
}
