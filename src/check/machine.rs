//! Whether this machine can be a node: what `ambit node`, or the agent and ztunnel, need of it.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use super::finding::{Finding, Severity};
use crate::mesh::Kind;
use crate::mesh::local;

/// The oldest kernel with all that redirection uses (docs/operations.md).
const OLDEST: (u32, u32) = (5, 10);

/// Ports of the node's programs that are open to the network of the node.
const PORTS: [(u16, &str); 6] = [
    (8000, "the node agent's readiness"),
    (15000, "ztunnel's administration"),
    (15014, "the node agent's metrics"),
    (15020, "ztunnel's metrics"),
    (15021, "ztunnel's readiness"),
    (15008, "HBONE, of programs that use the node's network"),
];

/// Looks at this machine.
pub(super) async fn look() -> Vec<Finding> {
    let mut findings = Vec::new();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    findings.extend(kernel(release.trim()));
    findings.extend(tool("nft", &["--version"], "nftables").await);
    findings.extend(tool("ip", &["-V"], "iproute2").await);
    if fs::read_link("/proc/self/ns/net").is_err() {
        findings.push(error(
            "kernel-namespaces",
            "kernel",
            "it has no network namespaces",
            "use a kernel with CONFIG_NET_NS",
        ));
    }
    findings.extend(tables().await);
    let own = local::beside("self").members;
    // Where they run already, the ports are theirs.
    if !own.iter().any(|member| member.kind == Kind::Ztunnel) {
        findings.extend(PORTS.iter().filter_map(|(port, whose)| taken(*port, whose)));
    }
    findings
}

fn error(
    id: &'static str,
    object: &str,
    problem: impl Into<String>,
    fix: impl Into<String>,
) -> Finding {
    Finding::new(Severity::Error, id, object, problem, fix)
}

fn kernel(release: &str) -> Option<Finding> {
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let found = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (found < OLDEST).then(|| {
        let (major, minor) = OLDEST;
        let problem = format!("Linux {release} lacks what redirection uses");
        error("kernel-old", "kernel", problem, format!("use Linux {major}.{minor} or newer"))
    })
}

/// Whether a program is there and runs.
async fn tool(name: &str, arguments: &[&str], package: &str) -> Option<Finding> {
    let fix = format!("install the package {package}");
    match quiet(name, arguments).await {
        Ok((true, _)) => None,
        Ok((false, said)) => {
            let id = if name == "nft" { "nft-missing" } else { "tool-missing" };
            Some(error(id, name, format!("{name} fails: {said}"), fix))
        }
        Err(why) => {
            let id = if name == "nft" { "nft-missing" } else { "tool-missing" };
            Some(error(id, name, format!("{name} cannot be run: {why}"), fix))
        }
    }
}

/// Whether the kernel lets this user have nftables: rules of a network namespace of its own.
async fn tables() -> Option<Finding> {
    let path = find("nft")?;
    let transaction = "add table inet ambit_check; add chain inet ambit_check c { type nat hook output \
                       priority -100; }; add rule inet ambit_check c meta mark 1 tcp dport 1 redirect to :1";
    let path = path.display().to_string();
    let arguments = ["--net", "--", path.as_str(), transaction];
    match quiet("unshare", &arguments).await {
        Ok((true, _)) | Err(_) => None,
        Ok((false, said)) if said.contains("unshare") => Some(Finding::new(
            Severity::Warning,
            "not-root",
            "nft",
            "this user may not make a network namespace, so rules could not be tried",
            "run ambit check --machine as root",
        )),
        Ok((false, said)) => Some(error(
            "nft-refused",
            "nft",
            format!("the kernel does not take the rules of redirection: {said}"),
            "load the modules nf_tables, nft_redir and nft_chain_nat, or use a kernel with them",
        )),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Whether it ended well, and the first line that it complained.
async fn quiet(program: &str, arguments: &[&str]) -> Result<(bool, String), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), said.lines().next().unwrap_or_default().to_owned()))
}

fn taken(port: u16, whose: &str) -> Option<Finding> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Some(self::error(
            "port-taken",
            &format!("port {port}"),
            format!("another program listens on it; {whose} needs it"),
            format!("find it with `ss -ltnp sport = :{port}` and give it another port"),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_told_with_what_works() {
        for release in ["6.1.0-18-amd64", "5.10.0", "5.15.49-linuxkit"] {
            assert_eq!(kernel(release), None, "{release}");
        }
        let old = kernel("4.19.0-26-amd64").expect("too old");
        assert!(old.problem.contains("4.19") && old.fix.contains("5.10"), "{old:?}");
    }

    #[test]
    fn a_port_that_is_taken_is_found() {
        let holder = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).expect("free");
        let port = holder.local_addr().expect("bound").port();
        let found = taken(port, "a test").expect("taken");
        assert_eq!((found.id, found.object), ("port-taken", format!("port {port}")));
        drop(holder);
        assert_eq!(taken(port, "a test"), None);
    }
}
