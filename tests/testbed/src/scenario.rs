//! Test functions that run inside a sandbox of their own.
//!
//! The test harness calls the function outside. It runs the test binary again inside a new
//! sandbox, with the name of this one test; there the body gets a [`Testbed`]. The inner run
//! ends with a status that only a body which ran to its end can give, so a run that found no
//! test is a failure and not a pass.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::bed::{RUN_DIR, Testbed};
use crate::process::tail;
use crate::sandbox::{self, Sandbox};

/// Exit status of a body that ran to its end.
const PASSED: i32 = 66;
/// Exit status of a body that failed in words.
const FAILED: i32 = 67;
/// What a body may take beyond its deadline to say so.
const GRACE: Duration = Duration::from_secs(10);
/// How much of the output is kept, from its end.
const OUTPUT_LIMIT: usize = 256 * 1024;
/// How much of each log file is shown when a body fails.
const LOG_TAIL: usize = 2048;
/// Set to see the output of passing scenarios as well, while they run.
const SHOW: &str = "AMBIT_BED_SHOW";
/// Declares tests that run inside a sandbox.
///
/// ```
/// testbed::scenario! {
///     /// What the user would say.
///     async fn a_pod_reaches_itself(bed: testbed::Testbed) {
///         let node = bed.node("node-a").unwrap();
///         let pod = bed.pod("shop/web", &node).unwrap();
///         let ping = pod.command("true").run(std::time::Duration::from_secs(5)).await.unwrap();
///         assert!(ping.status.success());
///     }
/// }
/// ```
///
/// `within 300;` before the function sets its deadline in seconds (120 otherwise). The body
/// may return a `Result` whose error is `Debug`. Attributes such as
/// `#[ignore = "takes minutes"]` are passed on.
#[macro_export]
macro_rules! scenario {
    () => {};
    ($(#[$meta:meta])* within $seconds:literal;
     async fn $name:ident($bed:ident: $type:ty $(,)?) $(-> $result:ty)? $body:block $($rest:tt)*) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::scenario::run(
                concat!(module_path!(), "::", stringify!($name)),
                ::std::time::Duration::from_secs($seconds),
                |$bed: $type| async move {
                    let result $(: $result)? = async move { $body }.await;
                    result
                },
            );
        }
        $crate::scenario! { $($rest)* }
    };
    ($(#[$meta:meta])* async fn $name:ident($bed:ident: $type:ty $(,)?) $(-> $result:ty)? $body:block
     $($rest:tt)*) => {
        $crate::scenario! {
            $(#[$meta])* within 120;
            async fn $name($bed: $type) $(-> $result)? $body $($rest)*
        }
    };
}

/// What a body may return.
pub trait Outcome {
    /// Why it failed, if it did.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Debug> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}

/// Runs `body` in a sandbox; the work of [`scenario!`](crate::scenario!).
///
/// # Panics
/// If the body fails, does not end within `deadline`, or never ran.
pub fn run<F, O>(path: &str, deadline: Duration, body: impl FnOnce(Testbed) -> F)
where
    F: Future<Output = O>,
    O: Outcome,
{
    sandbox::serve_if_init();
    if sandbox::is_inside() {
        std::process::exit(inside(deadline, body));
    }
    // The harness knows a test by its path within the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    if let Err(failure) = outside(name, deadline) {
        panic!("{failure}");
    }
}

fn inside<F, O>(deadline: Duration, body: impl FnOnce(Testbed) -> F) -> i32
where
    F: Future<Output = O>,
    O: Outcome,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let failure = match (runtime, Testbed::new()) {
        (Ok(runtime), Ok(bed)) => {
            // A panic of the body unwinds through here; the guard shows the logs first.
            let logs = ShowLogs { armed: true };
            let result =
                runtime.block_on(async { tokio::time::timeout(deadline, body(bed)).await });
            let failure = match result {
                Ok(outcome) => outcome.failure(),
                Err(_) => Some(format!("the scenario did not end within {deadline:?}")),
            };
            logs.when(failure.is_some());
            failure
        }
        (Err(error), _) => Some(error.to_string()),
        (_, Err(error)) => Some(error.to_string()),
    };
    match failure {
        None => PASSED,
        Some(failure) => {
            eprintln!("{failure}");
            FAILED
        }
    }
}

/// Prints the ends of the run's log files when it is dropped armed.
struct ShowLogs {
    armed: bool,
}

impl ShowLogs {
    fn when(mut self, failed: bool) {
        self.armed = failed;
    }
}

impl Drop for ShowLogs {
    fn drop(&mut self) {
        if self.armed {
            show_logs(&Path::new(RUN_DIR).join("logs"));
        }
    }
}

fn show_logs(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let text = tail(&path, LOG_TAIL);
        if !text.is_empty() {
            eprintln!("--- end of {}\n{text}", path.display());
        }
    }
}

fn outside(name: &str, deadline: Duration) -> Result<(), String> {
    let show = std::env::var_os(SHOW).is_some();
    let args = [name, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"];
    let mut sandbox = Sandbox::start(name, args.map(OsString::from), |command| {
        command.stdin(Stdio::null());
        if !show {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
    })
    .map_err(|error| error.to_string())?;
    let stdout = sandbox.child().stdout.take().map(keep_end);
    let stderr = sandbox.child().stderr.take().map(keep_end);
    let ended = wait(&mut sandbox, deadline + GRACE);
    drop(sandbox);
    let verdict = match ended.map_err(|error| error.to_string())? {
        Some(PASSED) => return Ok(()),
        Some(FAILED | 101) => "failed".to_owned(),
        Some(0) => "never ran: the test binary found no test of that name inside".to_owned(),
        Some(code) => format!("ended with status {code} before its body did"),
        None => format!("was still running {GRACE:?} after its deadline and was ended"),
    };
    let text = |kept: Option<JoinHandle<String>>| {
        kept.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Err(format!("{name} {verdict}\n{}\n{}", text(stdout), text(stderr)))
}

/// The body's exit status; `None` if it is still running at the limit.
fn wait(sandbox: &mut Sandbox, limit: Duration) -> Result<Option<i32>, io::Error> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = sandbox.child().try_wait()? {
            return Ok(Some(sandbox::code(status)));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

/// Reads a pipe to its end and keeps the last [`OUTPUT_LIMIT`] bytes.
fn keep_end(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut kept = VecDeque::new();
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            kept.extend(&buffer[..count]);
            kept.drain(..kept.len().saturating_sub(OUTPUT_LIMIT));
        }
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    })
}
