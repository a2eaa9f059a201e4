use std::fs::File;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;

use super::*;

#[test]
fn a_socket_opened_inside_stays_inside() {
    let pod = Netns::create().expect("root makes namespaces");
    let open = || TcpListener::bind("0.0.0.0:0");
    let listener = pod.run(open).expect("entered").expect("bound inside");
    let port = listener.local_addr().expect("has an address").port();
    // Both namespaces have the port free, so binding it here shows that they are two.
    TcpListener::bind(("0.0.0.0", port)).expect("free in our own namespace");
    let again = pod.run(|| TcpListener::bind(("0.0.0.0", port))).expect("entered");
    assert_eq!(again.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn the_thread_comes_back_also_after_a_panic() {
    let home = Netns::current().expect("own namespace").id();
    let pod = Netns::create().expect("root makes namespaces");
    let inside = pod.run(|| Netns::current().expect("inside").id()).expect("entered");
    assert_eq!(inside, pod.id());
    assert_ne!(inside, home);
    let work = AssertUnwindSafe(|| pod.run(|| panic!("the work fails")));
    assert!(std::panic::catch_unwind(work).is_err());
    assert_eq!(Netns::current().expect("own namespace").id(), home);
}

#[test]
fn only_network_namespaces_are_taken() {
    let file = |path: &str| OwnedFd::from(File::open(path).expect(path));
    let netns = Netns::from_fd(file("/proc/self/ns/net")).expect("a network namespace");
    assert_eq!(netns.id(), Netns::current().expect("own namespace").id());
    let error = Netns::from_fd(file("/dev/null")).expect_err("a device");
    assert!(matches!(error, NetnsError::NotNsfs(_)), "{error}");
    let error = Netns::from_fd(file("/proc/self/ns/uts")).expect_err("of another type");
    assert!(matches!(error, NetnsError::Enter(nix::Error::EINVAL)), "{error}");
}
