use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use hbone::netns::Netns;

use super::open::{OpenError, open};
use super::search::{holds, search};

#[test]
fn only_a_pods_namespace_is_taken_and_no_link_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("plain");
    std::fs::write(&file, "").expect("written");
    let link = dir.path().join("link");
    symlink("/proc/self/ns/net", &link).expect("linked");
    let directory_link = dir.path().join("sub");
    symlink("/proc/self/ns", &directory_link).expect("linked");
    let own = Netns::current().expect("own namespace").id();
    let process = format!("/proc/{}/ns/net", std::process::id());

    let refused = |path: &Path| open(path, &[own]).expect_err("refused");
    assert!(matches!(refused(&link), OpenError::Open { .. }));
    assert!(matches!(refused(&directory_link.join("net")), OpenError::Open { .. }));
    assert!(matches!(refused(&file), OpenError::NotNetns { .. }));
    assert!(matches!(refused(&dir.path().join("absent")), OpenError::Open { .. }));
    assert!(matches!(refused(Path::new("/proc/self/../self/ns/net")), OpenError::Form(_)));
    assert!(matches!(refused(Path::new("run/netns/x")), OpenError::Form(_)));
    assert!(matches!(refused(Path::new(&process)), OpenError::Node(_)));
    let uts = format!("/proc/{}/ns/uts", std::process::id());
    assert!(matches!(refused(Path::new(&uts)), OpenError::Open { .. }));
    let taken = open(Path::new(&process), &[]).expect("a network namespace");
    assert_eq!(taken.netns.id(), own);
}

#[test]
fn a_running_pod_is_found_by_its_address() {
    let pod = Netns::create().expect("root makes namespaces");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        pod.run(|| command.args(arguments).spawn()).expect("entered").expect("started")
    };
    let ip = "10.99.7.5".parse().expect("an address");
    assert!(run("ip", &["link", "set", "lo", "up"]).wait().expect("ran").success());
    assert!(
        run("ip", &["addr", "add", "10.99.7.5/32", "dev", "lo"]).wait().expect("ran").success()
    );
    assert!(holds(&pod, &[ip]));
    let mut process = run("sleep", &["60"]);
    let found = search(&[ip], &BTreeSet::new()).expect("searched").expect("found");
    assert_eq!(found.netns.id(), pod.id());
    assert!(search(&[ip], &BTreeSet::from([pod.id()])).expect("searched").is_none());
    process.kill().expect("killed");
    process.wait().expect("ended");
}

#[test]
fn a_path_without_end_is_not_opened() {
    let path = |length: usize| std::path::PathBuf::from(format!("/{}", "a/".repeat(length / 2)));
    assert!(matches!(open(&path(1026), &[]), Err(OpenError::Form(_))));
    assert!(matches!(open(&path(1022), &[]), Err(OpenError::Open { .. })), "it may be one");
}
