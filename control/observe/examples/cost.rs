//! What it costs to remember: 50,000 connections a minute over 2,000 edges, one in a hundred of
//! them refused, for `SECONDS` (60 by default). Prints CPU time, memory and disk of the process.
//!
//! `cargo run --release -p observe --example cost -- [SECONDS]`

use std::time::{Duration, Instant};

use hbone::telemetry::process;
use observe::pb::{EdgeKey, Origin, Party, Query};
use observe::recorder::{Ends, Failure, Recorder, collector};
use observe::ring::RingSettings;
use tokio_util::sync::CancellationToken;

const FLOWS_PER_MINUTE: u32 = 50_000;
const EDGES: u32 = 2_000;

fn key(n: u32) -> EdgeKey {
    let party = |name: String| {
        let identity = format!("spiffe://cluster.local/ns/shop/sa/{name}");
        Some(Party { namespace: "shop".into(), workload: name, identity })
    };
    EdgeKey {
        reporter: "source".into(),
        source: party(format!("client-{}", n % 40)),
        destination: party(format!("server-{}", n / 40)),
        service: format!("shop/service-{}.shop.svc.cluster.local", n / 40),
        port: 8080,
        protocol: "tcp".into(),
        security: "mtls".into(),
        ..EdgeKey::default()
    }
}

fn cpu() -> f64 {
    process::cpu_us().expect("our own usage") as f64 / 1e6
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(60), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let ring =
        RingSettings { directory: Some(directory.path().into()), limit: RingSettings::LIMIT };
    let recorder = Recorder::new(Origin::default(), ring);
    let quit = CancellationToken::new();
    let collected = tokio::spawn(collector::run(recorder.clone(), quit.clone()));
    let (before, began, memory) = (cpu(), Instant::now(), resident_mib());
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let (mut n, mut peak) = (0u32, 0f64);
    while began.elapsed() < Duration::from_secs(seconds) {
        every.tick().await;
        for _ in 0..FLOWS_PER_MINUTE / 600 {
            let flow = recorder.open(key(n % EDGES), Ends::default());
            flow.sent(1_000);
            flow.received(10_000);
            let failure = (n % 100 == 0).then(|| Failure {
                class: "DENY".into(),
                refused: true,
                ..Failure::default()
            });
            recorder.close(&flow, failure);
            n += 1;
        }
        peak = peak.max(resident_mib());
    }
    let used = cpu() - before;
    quit.cancel();
    collected.await?;
    println!("{n} connections in {seconds} s over {EDGES} edges");
    println!("CPU: {:.2} % of one core", used / began.elapsed().as_secs_f64() * 100.0);
    println!("memory: {memory:.1} MiB before, {peak:.1} MiB at most");
    println!("disk: {:.1} MiB", recorder.ring().size() as f64 / f64::from(1 << 20));
    let now = observe::now_ms();
    let want = vec!["edges".to_owned()];
    let query = Query { from_ms: now - 3_600_000, to_ms: now, want, ..Query::default() };
    let (asked, before) = (Instant::now(), cpu());
    let edges = recorder.answer(&query)?.edges.len();
    println!(
        "the last hour: {edges} edges in {:?}, {:.3} s of CPU",
        asked.elapsed(),
        cpu() - before
    );
    Ok(())
}
