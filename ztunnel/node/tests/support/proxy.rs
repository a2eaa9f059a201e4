//! A proxy that says what the test tells it to: the other end of the ZDS socket.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use hbone::netns::{Netns, NetnsId};
use hbone::wire::pb::istio::workload::zds as pb;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use prost::Message;

pub(crate) struct FakeProxy {
    socket: OwnedFd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Add { uid: String, name: String, netns: NetnsId },
    Keep(String),
    Del(String),
    SnapshotSent,
    Closed,
}

impl FakeProxy {
    /// Connects, as soon as somebody listens, without a word.
    pub(crate) fn connect(path: &Path) -> Self {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None);
        let socket = fd.expect("a socket");
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(15)).expect("set");
        let end = Instant::now() + Duration::from_secs(10);
        let address = UnixAddr::new(path).expect("an address");
        while connect(socket.as_raw_fd(), &address).is_err() {
            assert!(Instant::now() < end, "nobody listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { socket }
    }

    /// Connects, says hello and acks the snapshot, which it returns.
    pub(crate) fn join(path: &Path) -> (Self, Vec<Said>) {
        let proxy = Self::connect(path);
        proxy.hello();
        let mut snapshot = Vec::new();
        loop {
            let said = proxy.hear();
            proxy.ack("");
            if said == Said::SnapshotSent {
                return (proxy, snapshot);
            }
            assert_ne!(said, Said::Closed, "the agent went during the snapshot");
            snapshot.push(said);
        }
    }

    pub(crate) fn hello(&self) {
        self.say(&pb::ZdsHello { version: pb::Version::V1.into() }.encode_to_vec());
    }

    pub(crate) fn ack(&self, error: &str) {
        let ack = pb::Ack { error: error.into() };
        let payload = Some(pb::workload_response::Payload::Ack(ack));
        self.say(&pb::WorkloadResponse { payload }.encode_to_vec());
    }

    pub(crate) fn say(&self, packet: &[u8]) {
        let data = [IoSlice::new(packet)];
        let sent = sendmsg::<()>(self.socket.as_raw_fd(), &data, &[], MsgFlags::empty(), None);
        sent.expect("sent");
    }

    /// The next packet, checked: an Add has exactly one descriptor, the others none.
    pub(crate) fn hear(&self) -> Said {
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!([i32; 4]);
        let (length, fds) = {
            let mut data = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let got = recvmsg::<()>(self.socket.as_raw_fd(), &mut data, Some(&mut control), flags);
            let got = got.expect("a packet in time");
            let mut fds = Vec::new();
            for message in got.cmsgs().expect("whole") {
                if let ControlMessageOwned::ScmRights(received) = message {
                    fds.extend(received);
                }
            }
            (got.bytes, fds)
        };
        if length == 0 {
            return Said::Closed;
        }
        let request = pb::WorkloadRequest::decode(&buffer[..length]).expect("a request");
        let payload = request.payload.expect("a payload");
        let is_add = matches!(payload, pb::workload_request::Payload::Add(_));
        assert_eq!(fds.len(), usize::from(is_add), "a descriptor comes with Add alone");
        match payload {
            pb::workload_request::Payload::Add(add) => {
                let netns = Netns::from_fd(own(fds[0])).expect("a network namespace").id();
                let name = add.workload_info.expect("always filled").name;
                Said::Add { uid: add.uid, name, netns }
            }
            pb::workload_request::Payload::Keep(keep) => Said::Keep(keep.uid),
            pb::workload_request::Payload::Del(del) => Said::Del(del.uid),
            pb::workload_request::Payload::SnapshotSent(_) => Said::SnapshotSent,
        }
    }
}

#[allow(unsafe_code)]
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
