//! A fleet on one machine: the real control plane, asked by people, and simulated nodes that
//! answer it. The nodes are recorders with rings of their own, which joined with tokens and
//! answer on the call that any proxy makes; only their traffic is made up.
//!
//! `./dev bench fleet` (docs/observe.md, "What a fleet costs"). In the order of events:
//!
//! - [`plan`]: who runs where, who calls whom
//! - [`control`]: the control plane
//! - [`nodes`]: nodes join, count and answer
//! - [`history`]: hours that did not pass
//! - [`ask`]: questions, and how long they take
//! - [`report`]: the table, and all of it as JSON

mod ask;
mod control;
mod history;
mod nodes;
mod plan;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use observe::pb::Query;
use observe::{RESOLUTION_MS, now_ms, step_of};
use tokio_util::sync::CancellationToken;

use self::ask::Question;
use self::control::Control;
use self::nodes::Proxy;
use self::plan::Size;
use self::report::{Alone, Measured, Report};

/// Measures a fleet of simulated nodes against the real control plane.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
struct Options {
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    #[arg(long, default_value_t = 500)]
    workloads: usize,
    #[arg(long, default_value_t = 20)]
    namespaces: usize,
    /// Pairs of workloads that talk
    #[arg(long, default_value_t = 2_000)]
    edges: usize,
    /// Namespaces whose services are behind a waypoint
    #[arg(long, default_value_t = 5)]
    waypoints: usize,
    /// Hours that the rings hold
    #[arg(long, default_value_t = 6)]
    hours: i64,
    /// How often each question is asked
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// Who ask the same at once
    #[arg(long, default_value_t = 20)]
    viewers: usize,
    /// Only questions whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// A shell command to run while the fleet is there, with its pages in AMBIT_URL; a line of
    /// JSON that it prints goes to the results
    #[arg(long = "then", value_name = "COMMAND")]
    and_then: Option<String>,
    /// Stays until Ctrl-C
    #[arg(long)]
    stay: bool,
    /// The program of the control plane
    #[arg(long, default_value = "target/lean/control")]
    control: PathBuf,
    /// Where the results go
    #[arg(long, default_value = "target/bench/fleet.json")]
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&options))
}

/// CPU time of this process, which is that of all nodes and of those who ask.
fn own_cpu() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:6.1} s  {what}", began.elapsed().as_secs_f64());
    let Options { nodes, workloads, namespaces, edges, waypoints, .. } = *options;
    let size = Size { nodes, workloads, namespaces, edges, waypoints };
    ensure!(nodes > 0 && workloads > 0 && namespaces > 0, "a fleet has at least one of each");
    ensure!(waypoints <= namespaces, "there are {namespaces} namespaces for waypoints");
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    size.write(&home.join("mesh"))?;
    let mut control = Control::start(&options.control, &home.join("mesh"), &home.join("state"))?;
    control.ready().await?;
    let mut report = Report::new(size, options.hours, control.memory());

    say("nodes join");
    let proxies: Vec<Arc<Proxy>> =
        nodes::join(size, &control, home).await?.into_iter().map(Arc::new).collect();
    say(&format!("{} h of history are written", options.hours));
    let to_ms = step_of(now_ms(), RESOLUTION_MS);
    history::write(&proxies, to_ms - options.hours * 3_600_000, to_ms)?;
    report.disk_bytes = proxies.iter().map(|proxy| proxy.recorder.ring().size()).sum();
    let quit = CancellationToken::new();
    proxies.iter().for_each(|proxy| proxy.run(&quit));
    attached(&control, proxies.len() + 1).await?;
    // A step has ended by then, and each edge has been used.
    tokio::time::sleep(Duration::from_secs(12)).await;
    report.memory.attached = control.memory();

    for question in questions(options) {
        say(&question.name);
        for viewers in [1, options.viewers] {
            // Many at once only where people look all the time.
            if viewers == 1 || question.path == "mesh" {
                report.measured.push(measure(options, &control, &question, viewers).await?);
            }
        }
    }
    report.memory.after = control.memory();
    for (name, window_ms) in windows(options) {
        report.alone.push(alone(&proxies, name, window_ms)?);
    }
    if let Some(command) = &options.and_then {
        say(command);
        report.browser = browse(command, control.admin()).await?;
        report.memory.after = control.memory();
    }
    print!("{report}");
    report.write(&options.output)?;
    println!("{}", options.output.display());
    if options.stay {
        println!("http://127.0.0.1:{}/ui/ until Ctrl-C", control.admin());
        tokio::signal::ctrl_c().await?;
    }
    quit.cancel();
    Ok(())
}

/// Waits until all proxies can be asked.
async fn attached(control: &Control, wanted: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let (_, body) = ask::get(control.admin(), "/api/v1/about").await?;
        let about: serde_json::Value = serde_json::from_slice(&body)?;
        let there = about["origins"].as_array().map_or(0, Vec::len);
        if there == wanted {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "{there} of {wanted} proxies called control"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn windows(options: &Options) -> [(&'static str, i64); 3] {
    [("5 min", 300_000), ("1 h", 3_600_000), ("longest", options.hours * 3_600_000)]
}

fn questions(options: &Options) -> Vec<Question> {
    let mut all = Vec::new();
    for path in
        ["mesh", "nodes", "workloads", "policies", "workloads/team-07/service-007", "events"]
    {
        for (window, window_ms) in windows(options) {
            let name = format!("{path}, {window}");
            all.push(Question { name, path: path.to_owned(), window_ms });
        }
    }
    all.retain(|question| options.only.as_ref().is_none_or(|only| question.name.contains(only)));
    all
}

async fn measure(
    options: &Options,
    control: &Control,
    question: &Question,
    viewers: usize,
) -> anyhow::Result<Measured> {
    let (cpu, own) = (control.cpu(), own_cpu());
    let times = match viewers {
        1 => ask::one_by_one(control.admin(), question, options.times).await?,
        viewers => {
            let times = options.times.div_ceil(viewers);
            ask::together(control.admin(), question, viewers, times).await?
        }
    };
    Ok(Measured::new(question, viewers, &times, control.cpu() - cpu, own_cpu() - own))
}

/// What one node needs for its answer when nobody else wants the processor.
fn alone(proxies: &[Arc<Proxy>], name: &'static str, window_ms: i64) -> anyhow::Result<Alone> {
    let mut taken = Vec::new();
    for proxy in proxies {
        let now = now_ms();
        let want = vec!["edges".to_owned(), "state".to_owned()];
        let query = Query { from_ms: now - window_ms, to_ms: now, want, ..Query::default() };
        let asked = Instant::now();
        let answer = proxy.recorder.answer(&query)?;
        taken.push(asked.elapsed());
        if answer.edges.is_empty() {
            bail!("{} has nothing to tell", proxy.recorder.origin().node);
        }
    }
    Ok(Alone::new(name, &taken))
}

/// Runs a command that looks at the pages; what it prints as JSON is its result.
async fn browse(command: &str, port: u16) -> anyhow::Result<serde_json::Value> {
    let ran = tokio::process::Command::new("sh")
        .args(["-c", command])
        .env("AMBIT_URL", format!("http://127.0.0.1:{port}/ui/"))
        .stderr(std::process::Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "{command} failed: {text}");
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    serde_json::from_str(line.context("the command printed no JSON")?).context("of the command")
}
