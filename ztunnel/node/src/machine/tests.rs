use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::*;

fn timing() -> SupervisorTiming {
    SupervisorTiming {
        probe: Duration::from_millis(20),
        answer: Duration::from_millis(200),
        failures: 2,
        start: Duration::from_millis(500),
        drain: Duration::from_millis(500),
        retry: Duration::from_millis(100),
    }
}

fn shell(script: String, readiness: Option<SocketAddr>) -> Program {
    Program {
        name: "test".into(),
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
        netns: None,
        readiness,
        record: None,
    }
}

/// Waits until the file has so many lines.
async fn lines(file: &Path, count: usize) -> String {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.lines().count() >= count {
            return text;
        }
        assert!(Instant::now() < end, "wanted {count} lines, found {text:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_and_stopped_with_us() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("starts");
    let stop = CancellationToken::new();
    let program = shell(format!("echo start >> {}", file.display()), None);
    let task = tokio::spawn(supervise(program, timing(), stop.clone()));
    lines(&file, 3).await;
    stop.cancel();
    task.await.expect("ended");
}

#[tokio::test]
async fn a_stopped_program_may_drain_and_one_that_does_not_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, handler, want) in [("drains", "echo drained >> $0; exit 0", 2), ("stubborn", ":", 1)]
    {
        let file = directory.path().join(name);
        let mut program = shell(
            format!("trap '{handler}' TERM; echo up >> $0; while :; do sleep 0.02; done"),
            None,
        );
        program.arguments.push(file.clone().into());
        let stop = CancellationToken::new();
        let task = tokio::spawn(supervise(program, timing(), stop.clone()));
        lines(&file, 1).await;
        stop.cancel();
        task.await.expect("ended");
        assert_eq!(lines(&file, 1).await.lines().count(), want, "{name}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_answer_is_killed_and_started_again() {
    // The kernel accepts for a listener that nobody serves: what a hung program looks like.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("has one");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("starts");
    let script = format!("echo start >> {}; exec sleep 600", file.display());
    let stop = CancellationToken::new();
    let task = tokio::spawn(supervise(shell(script, Some(address)), timing(), stop.clone()));
    lines(&file, 2).await;
    stop.cancel();
    task.await.expect("ended");
}

#[tokio::test]
async fn a_program_runs_inside_the_namespace_that_it_is_given() {
    let netns = Arc::new(Netns::create().expect("root"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("netns");
    let script = format!("stat -L -c %i /proc/self/ns/net >> {}; exec sleep 600", file.display());
    let program = Program { netns: Some(netns.clone()), ..shell(script, None) };
    let stop = CancellationToken::new();
    let task = tokio::spawn(supervise(program, timing(), stop.clone()));
    let inode = lines(&file, 1).await;
    assert_eq!(inode.trim(), netns.id().inode.to_string());
    stop.cancel();
    task.await.expect("ended");
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_kept_running_by_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("starts");
    let script = format!("echo start >> {}; exec sleep 600", file.display());
    let record = directory.path().join("record");
    let program = Program { record: Some(record.clone()), ..shell(script, None) };
    // A supervisor that is killed: its task goes, and nothing of it is run.
    let mut left = process::Process::start(&program).expect("starts");
    lines(&file, 1).await;
    let pid = left.pid().expect("runs");
    let stop = CancellationToken::new();
    let task = tokio::spawn(supervise(program.clone(), timing(), stop.clone()));
    let quiet = tokio::time::timeout(Duration::from_millis(300), lines(&file, 2)).await;
    assert!(quiet.is_err(), "no second one is started");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid")),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("killed");
    left.wait().await.expect("reaped");
    lines(&file, 2).await;
    let second = process::Left::find(&record).expect("noted").pid();
    assert_ne!(second, pid);
    stop.cancel();
    task.await.expect("ended");
    assert_eq!(process::Left::find(&record), None, "ended in order");
    assert!(!record.exists(), "and forgotten");
}
