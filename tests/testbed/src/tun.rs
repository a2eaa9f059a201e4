//! A TUN device: packets that the kernel routes to it are read, packets written come in.
//!
//! The only file that needs `unsafe` for it: TUNSETIFF has no safe wrapper, and tokio trusts
//! its caller that a descriptor stays the same.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use tokio::io::unix::AsyncFd;

/// Opens `/dev/net/tun` as a new interface `name` of the calling thread's network namespace,
/// non-blocking, without packet information before each packet.
///
/// # Errors
/// `InvalidInput` if the name has more than 15 bytes; `PermissionDenied` for a user, where
/// the machine keeps `/dev/net/tun` for root.
pub fn open(name: &str) -> io::Result<File> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")?;
    // SAFETY: an `ifreq` of zeroes is a valid value: it holds bytes, integers and a pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one `ifreq`, which
    // `request` is and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}

/// Lets the tokio runtime of the caller wait for the device.
///
/// # Errors
/// What the runtime's poll said.
pub fn register(device: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` returns the same open descriptor for as long as it lives, and the
    // `AsyncFd` owns it.
    unsafe { AsyncFd::register(device) }.map_err(Into::into)
}
