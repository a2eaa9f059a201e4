use super::*;

fn sleeper(directory: &Path, seconds: &str) -> Program {
    Program {
        name: "sleeper".into(),
        path: "/bin/sleep".into(),
        arguments: vec![seconds.into()],
        environment: vec![("COLOUR".into(), "blue".into())],
        netns: None,
        readiness: None,
        record: Some(directory.join("records").join("sleeper")),
    }
}

/// Starts a program as a supervisor that is then killed.
fn left_by_another(program: &Program) -> u32 {
    let mut command = std::process::Command::new(&program.path);
    let child = command.args(&program.arguments).spawn().expect("starts");
    let pid = child.id();
    // Reaped when it ends, as init does.
    std::thread::spawn(move || child.wait_with_output());
    let record = Record::new(program, pid).expect("runs");
    let path = program.record.as_deref().expect("has one");
    make_directory(path.parent().expect("has one")).expect("made");
    std::fs::write(path, serde_json::to_vec(&record).expect("encodes")).expect("written");
    pid
}

#[tokio::test]
async fn a_program_that_was_left_behind_is_taken_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = sleeper(directory.path(), "600");
    let pid = left_by_another(&program);
    let drain = Duration::from_secs(5);
    let mut process = Process::take_over(&program, drain).await.expect("taken over");
    assert_eq!(process.pid(), Some(pid));
    let waits = timeout(Duration::from_millis(200), process.wait()).await;
    assert!(waits.is_err(), "it runs");
    process.terminate();
    let ended = timeout(drain, process.wait()).await.expect("in time").expect("no error");
    assert_eq!(ended, None, "only of children there is a status");
    assert_eq!(Left::find(program.record.as_deref().expect("has one")), None);
}

#[tokio::test]
async fn what_was_started_otherwise_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let pid = left_by_another(&sleeper(directory.path(), "600"));
    let other = Program {
        environment: vec![("COLOUR".into(), "red".into())],
        ..sleeper(directory.path(), "600")
    };
    assert!(Process::take_over(&other, Duration::from_secs(5)).await.is_none());
    assert_eq!(started(pid), None, "it has ended");
}

#[tokio::test]
async fn what_does_not_drain_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut program = sleeper(directory.path(), "600");
    program.path = "/bin/sh".into();
    let ready = directory.path().join("ready");
    let script = format!("trap '' TERM; touch {}; while :; do sleep 0.05; done", ready.display());
    program.arguments = vec!["-c".into(), script.into()];
    let pid = left_by_another(&program);
    while !ready.exists() {
        sleep(Duration::from_millis(5)).await;
    }
    let left = Left::find(program.record.as_deref().expect("has one")).expect("runs");
    left.end(Duration::from_millis(100)).await.expect("ended");
    assert_eq!(started(pid), None);
}

#[tokio::test]
async fn another_process_of_the_same_number_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = sleeper(directory.path(), "600");
    let path = program.record.as_deref().expect("has one");
    let mine = Record::new(&program, std::process::id()).expect("we run");
    make_directory(path.parent().expect("has one")).expect("made");
    for (case, record) in [
        ("started at another time", Record { started: mine.started + 1, ..mine.clone() }),
        ("in another boot", Record { boot: "another".to_owned(), ..mine.clone() }),
        ("no process", Record { pid: u32::MAX, ..mine.clone() }),
    ] {
        std::fs::write(path, serde_json::to_vec(&record).expect("encodes")).expect("written");
        assert_eq!(Left::find(path), None, "{case}");
    }
    std::fs::write(path, "{").expect("written");
    assert_eq!(Left::find(path), None, "unreadable");
}

#[tokio::test]
async fn a_child_is_noted_where_its_record_is_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = sleeper(directory.path(), "600");
    let mut process = Process::start(&program).expect("starts");
    let path = program.record.clone().expect("has one");
    assert_eq!(Left::find(&path).map(|left| left.pid()), process.pid());
    process.kill().await.expect("killed");
    assert_eq!(Left::find(&path), None);
    forget(Some(&path));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_record_without_end_is_not_read_and_its_program_not_taken_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = sleeper(directory.path(), "600");
    left_by_another(&program);
    let path = program.record.as_deref().expect("has one");
    let record = std::fs::read_to_string(path).expect("read");
    let after_blanks = " ".repeat(usize::try_from(MAX_RECORD).expect("small")) + &record;
    assert!(Record::read(path).is_some());
    std::fs::write(path, after_blanks).expect("written");
    assert!(Record::read(path).is_none());
    std::fs::write(path, record).expect("written");
    let mut left = Process::take_over(&program, Duration::from_secs(5)).await.expect("taken over");
    left.terminate();
    timeout(Duration::from_secs(5), left.wait()).await.expect("in time").expect("no error");
}
