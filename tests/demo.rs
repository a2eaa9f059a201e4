//! `ambit demo` as a person runs it: every scene, and nothing left behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long the whole demo may take on a busy machine; alone it takes a minute at most.
const SHOW: Duration = Duration::from_mins(3);
/// How long clean-up may take.
const CLEAN: Duration = Duration::from_secs(10);
/// Marks every process of one test: what is started inherits it.
const MARK: &str = "AMBIT_DEMO_TEST";

struct Demo {
    child: Child,
    lines: Receiver<String>,
    mark: String,
    said: Vec<String>,
}

impl Demo {
    fn start(name: &str, args: &[&str]) -> Self {
        let mark = format!("{name}-{}", std::process::id());
        let mut child = Command::new(env!("CARGO_BIN_EXE_ambit"))
            .arg("demo")
            .args(args)
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("ambit is built");
        let out = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("{line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, mark, said: Vec::new() }
    }

    /// Reads on until a line contains `text`.
    fn says(&mut self, text: &str) -> String {
        let until = Instant::now() + SHOW;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("never said {text:?}: {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    fn ends(&mut self) -> ExitStatus {
        let status = within(SHOW, || self.child.try_wait().expect("our child"));
        self.said.extend(self.lines.try_iter());
        status.unwrap_or_else(|| panic!("the demo did not end: {:#?}", self.said))
    }

    /// What still runs with this test's mark.
    fn left(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.mark);
        let entries = fs::read_dir("/proc").expect("proc").flatten();
        let marked = entries.filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        });
        let line = |path: &Path| {
            let text = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&text).replace('\0', " ")
        };
        marked.map(|entry| line(&entry.path())).collect()
    }

    fn left_nothing(&self) {
        within(CLEAN, || self.left().is_empty().then_some(()));
        assert_eq!(self.left(), [""; 0], "these processes still run");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Its end is the end of everything inside.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        match condition() {
            Some(found) => return Some(found),
            None if Instant::now() > until => return None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn every_scene_is_verified_and_no_process_stays() {
    let mut demo = Demo::start("once", &["--once"]);
    let status = demo.ends();
    assert!(status.success(), "{status}: {:#?}", demo.said);
    demo.left_nothing();
}

#[test]
fn a_person_presses_ctrl_c_and_everything_is_gone() {
    let mut demo = Demo::start("stays", &["--scene", "start"]);
    let directory = demo.says("/namespace.shop.yaml");
    let directory = Path::new(directory.trim()).ancestors().nth(2).expect("a parent").to_owned();
    assert!(directory.join("manifests").is_dir(), "{} is not there", directory.display());
    demo.says("/logs/");
    assert!(!demo.left().is_empty(), "the mark is of no use");
    // As a terminal does it: to every process of the group.
    let group = Pid::from_raw(demo.child.id().cast_signed());
    killpg(group, Signal::SIGINT).expect("a process group of its own");
    let status = demo.ends();
    assert!(status.success(), "every scene was verified before: {status}");
    demo.left_nothing();
    assert!(!directory.exists(), "{} stays", directory.display());
}

#[test]
fn scenes_are_listed_without_a_sandbox() {
    let list = Command::new(env!("CARGO_BIN_EXE_ambit")).args(["demo", "--list"]).output();
    let list = list.expect("ambit is built");
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.status.success());
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}
