//! Processes of this machine that are a mesh: those that share a mount namespace, such as all
//! of a demo, or all that were started here without one; on a node of a cluster those in its
//! containers.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::member::{Kind, Member};
use super::way::Way;

/// Environments longer than this are not ours.
const LONGEST: usize = 1 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The processes.
    pub(crate) members: Vec<Member>,
    /// The directory that control reads.
    pub(crate) manifests: Option<PathBuf>,
}

/// The processes with the mount namespace of `first`.
pub(crate) fn beside(first: &str) -> Found {
    let Some(wanted) = namespace(first, "mnt") else { return Found::default() };
    all(|pid| namespace(pid, "mnt").as_ref() == Some(&wanted))
}

/// The processes in containers of this machine: each has its own mount namespace. Where a demo
/// runs its processes are among them.
pub(crate) fn in_containers() -> Found {
    let Some(own) = namespace("self", "mnt") else { return Found::default() };
    let found = all(|pid| namespace(pid, "mnt").is_some_and(|theirs| theirs != own));
    // What control reads there is not ours to change.
    Found { manifests: None, ..found }
}

fn all(is_meant: impl Fn(&str) -> bool) -> Found {
    let Ok(entries) = fs::read_dir("/proc") else { return Found::default() };
    let mut found = Found::default();
    for pid in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let Ok(number) = pid.parse::<i32>() else { continue };
        if !is_meant(&pid) {
            continue;
        }
        if let Some(process) = Process::read(number) {
            if let (Kind::Control, Some(directory)) = (process.kind, process.manifests()) {
                found.manifests = Some(directory);
            }
            found.members.push(process.member());
        }
    }
    found
}

/// A namespace of a process, to be compared.
fn namespace(pid: &str, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

struct Process {
    pid: i32,
    kind: Kind,
    words: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let words = strings(&fs::read(format!("/proc/{pid}/cmdline")).ok()?);
        let kind = kind(&words)?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let environment = strings(environment.get(..LONGEST).unwrap_or(&environment));
        let pairs = environment.iter().filter_map(|pair| pair.split_once('='));
        let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Self { pid, kind, words, environment })
    }

    fn member(&self) -> Member {
        let (admin, stats) = match self.kind {
            Kind::Control => {
                let admin = self.address("--admin", "CONTROL_ADMIN", 15016);
                (admin, admin)
            }
            Kind::Ztunnel | Kind::Waypoint => {
                (self.address("", "ADMIN_ADDR", 15000), self.address("", "STATS_ADDR", 15020))
            }
        };
        let is_waypoint = self.kind == Kind::Waypoint;
        let of_waypoint = |name| if is_waypoint { self.text(name) } else { String::new() };
        Member {
            kind: self.kind,
            node: self.text("NODE_NAME"),
            namespace: of_waypoint("POD_NAMESPACE"),
            name: of_waypoint("POD_NAME"),
            gateway: of_waypoint("GATEWAY_NAME"),
            admin: self.way(admin),
            stats: self.way(stats),
            away: None,
        }
    }

    fn way(&self, address: SocketAddr) -> Way {
        let (pid, own) = (self.pid.to_string(), "self");
        if namespace(&pid, "net") == namespace(own, "net") {
            return Way::Direct(address);
        }
        let mut enter = vec![format!("--target={pid}")];
        // A namespace that is ours already cannot be entered again.
        if namespace(&pid, "user") != namespace(own, "user") {
            enter.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        enter.push("--net".to_owned());
        Way::Inside { pid: self.pid, enter, address }
    }

    /// Where control reads its objects, as a path that this process can use.
    fn manifests(&self) -> Option<PathBuf> {
        if self.words.iter().any(|word| word == "--kubernetes") {
            return None;
        }
        let given =
            self.flag("--directory").or_else(|| self.environment.get("CONTROL_DIRECTORY").cloned());
        let given = given.unwrap_or_else(|| "/etc/ambit/mesh".to_owned());
        if namespace(&self.pid.to_string(), "mnt") == namespace("self", "mnt")
            && Path::new(&given).is_absolute()
        {
            return Some(given.into());
        }
        let place = if given.starts_with('/') { "root" } else { "cwd/" };
        let path = PathBuf::from(format!("/proc/{}/{place}{given}", self.pid));
        // A demo's directory is a link to one that a person knows.
        let known = fs::read_link(&path).ok().filter(|known| known.is_absolute() && known.is_dir());
        Some(known.unwrap_or(path))
    }

    fn text(&self, name: &str) -> String {
        self.environment.get(name).cloned().unwrap_or_default()
    }

    /// The value of a flag of its command line.
    fn flag(&self, name: &str) -> Option<String> {
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix(name) {
                Some("") if !name.is_empty() => return words.next().cloned(),
                Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
                _ => {}
            }
        }
        None
    }

    fn address(&self, flag: &str, variable: &str, port: u16) -> SocketAddr {
        let given = self.flag(flag).or_else(|| self.environment.get(variable).cloned());
        let address = given.and_then(|text| text.parse::<SocketAddr>().ok());
        let address = address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into());
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
            IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
            _ => address,
        }
    }
}

/// By its arguments: `ambit ztunnel`, or a program of that name.
fn kind(words: &[String]) -> Option<Kind> {
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    let (name, next) = match program {
        "ambit" => (words.get(1)?.as_str(), words.get(2)),
        own => (own, words.get(1)),
    };
    match name {
        "control" if next.is_none_or(|word| word != "token") => Some(Kind::Control),
        // With a word behind it, it is what a person types.
        "ztunnel" if next.is_none() => Some(Kind::Ztunnel),
        "waypoint" if next.is_none() => Some(Kind::Waypoint),
        _ => None,
    }
}

fn strings(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(line: &str, environment: &[(&str, &str)]) -> Process {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let kind = kind(&words).expect("one of ours");
        let pairs = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        // Our own: it has our namespaces.
        let pid = i32::try_from(std::process::id()).expect("a pid");
        Process { pid, kind, words, environment: pairs.collect() }
    }

    #[test]
    fn programs_are_known_by_their_arguments() {
        for (line, want) in [
            ("/usr/bin/ambit ztunnel", Some(Kind::Ztunnel)),
            ("/usr/bin/ztunnel", Some(Kind::Ztunnel)),
            ("ambit waypoint", Some(Kind::Waypoint)),
            ("ambit control --state /s", Some(Kind::Control)),
            ("ambit control token node-a", None),
            ("ambit node", None),
            ("ambit waypoint list", None),
            ("ambit proxy log ztunnel", None),
            ("vim ztunnel", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(kind(&words), want, "{line}");
        }
    }

    #[test]
    fn flags_go_before_variables_and_both_before_defaults() {
        let by_flag =
            process("ambit control --admin=127.0.0.1:1", &[("CONTROL_ADMIN", "1.1.1.1:2")]);
        assert_eq!(by_flag.address("--admin", "CONTROL_ADMIN", 3).port(), 1);
        let by_variable = process("ambit control", &[("CONTROL_ADMIN", "0.0.0.0:2")]);
        let address = by_variable.address("--admin", "CONTROL_ADMIN", 3);
        assert_eq!(address, (Ipv4Addr::LOCALHOST, 2).into());
        let by_default = process("ambit control --directory /mesh", &[]);
        assert_eq!(by_default.address("--admin", "CONTROL_ADMIN", 3).port(), 3);
        assert_eq!(by_default.manifests(), Some("/mesh".into()));
        assert_eq!(process("ambit control --kubernetes", &[]).manifests(), None);
    }
}
