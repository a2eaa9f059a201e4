//! A program that enters a sandbox in the first lines of its `main`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

fn run(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bed-run"));
    command.arg(name);
    command
}

#[test]
fn status_and_output_are_those_of_the_program_inside() {
    let script = "echo I am $(id -u), $(ls /run/netns),";
    let output =
        run("status").args(["sh", "-c", &format!("{script}; exit 9")]).output().expect("runs");
    assert_eq!(output.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("I am 0, infra,"), "{output:?}");
    for (program, code) in [("true", 0), ("false", 1), ("no-such-program", 1)] {
        let status = run("status").arg(program).stderr(Stdio::null()).status().expect("runs");
        assert_eq!(status.code(), Some(code), "{program}");
    }
}

#[test]
fn what_the_program_leaves_behind_ends_with_it() {
    // A daemon that holds the output open: reading to its end waits for the daemon.
    let output = run("leaves").args(["sh", "-c", "setsid sleep 1000 & echo left"]).output();
    assert_eq!(output.expect("runs").stdout, b"left\n");
}

#[test]
fn control_c_is_answered_by_the_program_inside() {
    let script = "trap 'echo bye; exit 7' INT; echo up; while :; do sleep 0.05; done";
    let mut command = run("interrupted");
    // A shell cannot trap what its caller ignores, as one does that runs tests in the background.
    let program = ["env", "--default-signal=INT", "bash", "-c", script];
    command.args(program).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "up");
    // What a terminal does: every process of the foreground group gets the signal.
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it is up");
    assert_eq!(lines.next().expect("a line").expect("text"), "bye");
    assert_eq!(child.wait().expect("it ends").code(), Some(7));
    let listed = || testbed::runs().iter().any(|run| run.name == "interrupted");
    let deadline = Instant::now() + Duration::from_secs(10);
    while listed() {
        assert!(Instant::now() < deadline, "it is still listed");
        std::thread::yield_now();
    }
}
