//! A pod and a peer in network namespaces of their own, joined by a cable.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hbone::netns::Netns;
use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Addresses of one family.
pub(crate) struct Family {
    pub(crate) pod: String,
    pub(crate) peer: String,
}

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

static NUMBER: AtomicU8 = AtomicU8::new(0);

pub(crate) struct Lab {
    pub(crate) pod: Netns,
    pub(crate) peer: Netns,
    pub(crate) v4: Family,
    pub(crate) v6: Family,
    anchors: Vec<Child>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (pod, peer) = (Netns::create().expect("root"), Netns::create().expect("root"));
        // A process of the pod: what a search through /proc finds, and what `ip` can name.
        let anchor = spawn(&peer, "sleep", &["600"]);
        let pid = anchor.id().to_string();
        let pod_process = spawn(&pod, "sleep", &["600"]);
        let cable = ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &pid];
        ip(&pod, &cable);
        // Addresses that no other test has: pods are looked for by them.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let net = std::process::id() % 250;
        let v4 = |host| format!("10.{net}.{number}.{host}");
        let v6 = |host| format!("fd00:{net:x}:{number:x}::{host}");
        let v4 = Family { pod: v4(1), peer: v4(2) };
        let v6 = Family { pod: v6(1), peer: v6(2) };
        for (netns, v4, v6) in [(&pod, &v4.pod, &v6.pod), (&peer, &v4.peer, &v6.peer)] {
            ip(netns, &["addr", "add", &format!("{v4}/24"), "dev", "eth0"]);
            ip(netns, &["addr", "add", &format!("{v6}/64"), "dev", "eth0", "nodad"]);
            ip(netns, &["link", "set", "lo", "up"]);
            ip(netns, &["link", "set", "eth0", "up"]);
        }
        Self { pod, peer, v4, v6, anchors: vec![anchor, pod_process] }
    }

    pub(crate) fn families(&self) -> [&Family; 2] {
        [&self.v4, &self.v6]
    }

    pub(crate) fn pod_pid(&self) -> u32 {
        self.anchors[1].id()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in &mut self.anchors {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(crate) fn spawn(netns: &Netns, program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    netns.run(|| command.args(arguments).spawn()).expect("entered").expect(program)
}

pub(crate) fn ip(netns: &Netns, arguments: &[&str]) {
    let status = spawn(netns, "ip", arguments).wait().expect("ran");
    assert!(status.success(), "ip {arguments:?}");
}

pub(crate) fn output(netns: &Netns, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = netns.run(|| command.args(arguments).output()).expect("entered").expect(program);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A listener of an application.
pub(crate) fn listen(netns: &Netns, ip: &str, port: u16) -> TcpListener {
    let ip: IpAddr = ip.parse().expect("an address");
    netns.run(|| TcpListener::bind((ip, port))).expect("entered").expect("bound")
}

/// A listener as the proxy has them: both families, marked, transparent.
pub(crate) fn proxy_listen(netns: &Netns, port: u16) -> TcpListener {
    let open = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_mark(0x539)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new("::".parse().expect("an address"), port).into())?;
        socket.listen(128)?;
        Ok::<_, std::io::Error>(socket.into())
    };
    netns.run(open).expect("entered").expect("bound")
}

pub(crate) fn connect(netns: &Netns, ip: &str, port: u16) -> TcpStream {
    let to = SocketAddr::new(ip.parse().expect("an address"), port);
    let connect = || TcpStream::connect_timeout(&to, PATIENCE);
    patient(netns.run(connect).expect("entered").expect("connected"))
}

/// A connection of the proxy under a client's address.
pub(crate) fn spoof(netns: &Netns, from: SocketAddr, to: SocketAddr) -> TcpStream {
    let open = || {
        let domain = if from.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_mark(0x539)?;
        // The IPv4 option holds for an IPv6 socket too.
        nix::sys::socket::setsockopt(&socket, sockopt::IpTransparent, &true)?;
        socket.bind(&SocketAddr::new(from.ip(), 0).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok::<_, std::io::Error>(socket.into())
    };
    patient(netns.run(open).expect("entered").expect("connected"))
}

pub(crate) fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    listener.set_nonblocking(true).expect("set");
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(false).expect("set");
                return (patient(stream), canonical(peer));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(std::time::Instant::now() < end, "nobody connected");
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Where the client had wanted to go.
pub(crate) fn original_destination(stream: &TcpStream) -> SocketAddr {
    let local = canonical(stream.local_addr().expect("has one"));
    if local.is_ipv4() {
        let v4 = getsockopt(stream, sockopt::OriginalDst).expect("original destination");
        let port = u16::from_be(v4.sin_port);
        SocketAddr::new(std::net::Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into(), port)
    } else {
        let v6 = getsockopt(stream, sockopt::Ip6tOriginalDst).expect("original destination");
        SocketAddr::new(v6.sin6_addr.s6_addr.into(), u16::from_be(v6.sin6_port))
    }
}

/// Bytes go both ways.
pub(crate) fn talk(a: &mut TcpStream, b: &mut TcpStream) {
    pass(a, b);
    pass(b, a);
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    let text = format!("bytes of {}", from.as_raw_fd());
    from.write_all(text.as_bytes()).expect("written");
    let mut got = vec![0; text.len()];
    to.read_exact(&mut got).expect("arrives");
    assert_eq!(got, text.as_bytes());
}
