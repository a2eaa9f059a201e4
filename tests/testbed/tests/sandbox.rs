//! A sandbox takes everything with it, however its run ends.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::runs::{Run, find};
use testbed::{Testbed, enter};

const SOON: Duration = Duration::from_secs(10);
/// Set for the inner runs that the tests below start; unset, their bodies do nothing.
const ROLE: &str = "BED_TEST_ROLE";

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs one test of this binary in a role, as another caller would.
fn caller(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("an executable"));
    command.args([test, "--exact", "--include-ignored"]).env(ROLE, role);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a run that stays up, and waits until it is listed with its pod.
fn lasting(role: &str) -> (Child, Run) {
    let child = caller("a_run_that_lasts", role).spawn().expect("it starts");
    // Runs of other tests have the same name: this one is known by its pod.
    let mut found = None;
    wait_until("the run is up", || {
        found = testbed::runs().into_iter().find(|run| {
            let registry = run.registry().unwrap_or_default();
            registry.pods.iter().any(|pod| pod.name == format!("shop/{role}"))
        });
        found.is_some()
    });
    (child, found.expect("found above"))
}

/// The processes of a PID namespace, with the time that each was started at.
fn members(namespace: &str) -> BTreeSet<(String, String)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let inside = entries.filter(|entry| {
        fs::read_link(entry.path().join("ns/pid")).is_ok_and(|link| link.as_os_str() == namespace)
    });
    let identity = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        (entry.file_name().to_string_lossy().into_owned(), started.unwrap_or_default().to_owned())
    };
    inside.map(identity).collect()
}

fn pid_namespace(run: &Run) -> String {
    let link = fs::read_link(format!("/proc/{}/ns/pid", run.first)).expect("it is up");
    link.to_string_lossy().into_owned()
}

fn role() -> String {
    std::env::var(ROLE).unwrap_or_default()
}

testbed::scenario! {
    #[ignore = "a part of the tests below"]
    async fn a_run_that_lasts(bed: Testbed) -> anyhow::Result<()> {
        let Ok(role) = std::env::var(ROLE) else { return Ok(()) };
        let node = bed.node("node-a")?;
        let pod = bed.pod(&format!("shop/{role}"), &node)?;
        // A daemon that leaves its session and its parent.
        let daemon = pod.command("setsid").args(["sh", "-c", "sleep 1000 & sleep 1000"]);
        let _daemon = daemon.spawn()?;
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok(())
    }

    #[ignore = "a part of the tests below"]
    async fn a_run_that_panics(bed: Testbed) {
        assert!(role().is_empty(), "as it was told to");
        drop(bed);
    }

    #[ignore = "a part of the tests below"]
    async fn a_run_that_fails_in_words(bed: Testbed) -> Result<(), String> {
        drop(bed);
        if role().is_empty() { Ok(()) } else { Err("no such luck".to_owned()) }
    }

    #[ignore = "a part of the tests below"]
    within 1;
    async fn a_run_that_is_late(bed: Testbed) {
        drop(bed);
        if !role().is_empty() {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }

    #[ignore = "a part of the tests below"]
    async fn a_run_that_exits(bed: Testbed) {
        drop(bed);
        if !role().is_empty() {
            std::process::exit(0);
        }
    }

    async fn the_first_process_collects_orphans(bed: Testbed) -> anyhow::Result<()> {
        let orphan = bed.command("sh").args(["-c", "(sleep 0.05; exit 3) & echo $!"]);
        let pid = orphan.run(SOON).await?.success()?;
        let path = format!("/proc/{}", pid.trim());
        testbed::eventually("it is gone, also as a zombie", SOON, async || !fs::exists(&path).unwrap_or(true)).await?;
        Ok(())
    }

    async fn proc_run_and_the_network_are_the_runs_own(bed: Testbed) -> anyhow::Result<()> {
        assert!(std::process::id() < 100, "a new PID namespace: {}", std::process::id());
        assert!(fs::read_to_string("/proc/1/environ")?.contains("AMBIT_SANDBOX"));
        let names: BTreeSet<_> = fs::read_dir("/run")?.flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["bed", "netns"].map(Into::into).into());
        let links = bed.command("ip").args(["-o", "link"]).run(SOON).await?.success()?;
        assert!(links.lines().all(|line| line.contains("lo:")), "{links}");
        Ok(())
    }
}

#[test]
fn a_scenario_fails_when_its_body_does_and_says_why() {
    for (test, why) in [
        ("a_run_that_panics", "as it was told to"),
        ("a_run_that_fails_in_words", "no such luck"),
        ("a_run_that_is_late", "did not end within 1s"),
        ("a_run_that_exits", "never ran"),
    ] {
        let passed = caller(test, "").env_remove(ROLE).output().expect("it runs");
        assert!(passed.status.success(), "{test} passes without a role");
        let failed = caller(test, "fail").output().expect("it runs");
        let text = String::from_utf8_lossy(&failed.stdout);
        assert!(!failed.status.success(), "{test}: {text}");
        assert!(text.contains(why), "{test}: {text}");
    }
}

#[test]
fn a_scenario_that_the_inner_run_does_not_find_fails() {
    let missing = std::panic::catch_unwind(|| {
        testbed::scenario::run("sandbox::no_such_test", SOON, |_: Testbed| async {});
    });
    let message = missing.expect_err("it cannot pass");
    let message = message.downcast_ref::<String>().expect("a sentence");
    assert!(message.contains("no_such_test never ran"), "{message}");
}

#[test]
fn nothing_is_left_of_a_run_whose_caller_is_killed() {
    for (role, signal) in [("killed", Signal::SIGKILL), ("interrupted", Signal::SIGINT)] {
        let (mut child, run) = lasting(role);
        let namespace = pid_namespace(&run);
        let mut before = BTreeSet::new();
        wait_until("init, body and two daemons are up", || {
            before = members(&namespace);
            before.len() >= 4
        });
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it is up");
        child.wait().expect("it was killed");
        // The kernel may give the namespace's number to the next run at once.
        wait_until("every process is gone", || members(&namespace).is_disjoint(&before));
        assert!(!testbed::runs().contains(&run), "{role} is listed no more");
    }
}

#[test]
fn two_runs_at_once_do_not_meet_and_can_be_entered() {
    let runs = [lasting("left"), lasting("right")];
    for ((_, run), role) in runs.iter().zip(["left", "right"]) {
        let output = |place: &str| {
            let argv = ["sh", "-c", "ip -4 -o addr show dev eth0; ls /run/netns; echo $$"];
            let entered = enter(run, place, &argv).map_err(|error| error.to_string())?;
            let output = { entered }.output().map_err(|error| error.to_string())?;
            Ok::<_, String>(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let text = output(role).expect("a pod by its short name");
        assert!(text.contains("10.244.1.2/32") && text.contains(&format!("shop.{role}")), "{text}");
        assert!(!text.contains("shop.left") || !text.contains("shop.right"), "{text}");
        assert!(output(&format!("shop/{role}")).is_ok());
        let error = output("elsewhere").expect_err("no such pod");
        assert!(error.contains(&format!("it has: shop/{role}, node-a, infra")), "{error}");
    }
    let error = find(Some("nobody")).expect_err("no such run").to_string();
    assert!(error.contains("running: ") && error.contains("a_run_that_lasts"), "{error}");
    for (mut child, _) in runs {
        child.kill().expect("it is up");
        child.wait().expect("it was killed");
    }
}

#[test]
fn a_user_has_sandboxes_too_where_the_kernel_allows() {
    let as_user = |command: &mut Command| {
        command.args(["--reuid=65534", "--clear-groups", "--"]);
    };
    let mut probe = Command::new("setpriv");
    as_user(&mut probe);
    let allowed = probe.args(["unshare", "--user", "--map-root-user", "--net", "true"]).output();
    if !nix::unistd::geteuid().is_root() || !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: not root, or no user namespaces for users here");
        return;
    }
    // A user may not be able to read the build directory.
    let directory = std::env::temp_dir().join(format!("bed-user-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let exe = directory.join("sandbox");
    fs::copy(std::env::current_exe().expect("an executable"), &exe).expect("a copy");
    for test in ["the_first_process_collects_orphans", "proc_run_and_the_network_are_the_runs_own"]
    {
        let mut command = Command::new("setpriv");
        as_user(&mut command);
        command.arg(&exe).args([test, "--exact"]).current_dir(&directory);
        let output = command.env_remove("XDG_RUNTIME_DIR").output().expect("setpriv runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{test}: {text}");
    }
    fs::remove_dir_all(&directory).expect("ours");
}
