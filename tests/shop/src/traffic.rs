//! A steady customer: a request at a fixed rate, each on a connection of its own.

mod tally;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

use crate::answer::Answer;
use crate::client;

pub use tally::{Failure, Tally};

/// Requests a second at most.
const RATE_LIMIT: u32 = 1_000;
/// Requests without an answer at once; while there are as many, no new one is sent.
const IN_FLIGHT_LIMIT: usize = 64;

/// What to ask, and how often.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// What to get
    #[arg(long, default_value = "http://web.shop/")]
    pub url: String,
    /// Requests a second, 1 to 1000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_LIMIT)))]
    pub rate: u32,
    /// End after so many requests and print the tally; without it, go on for ever
    #[arg(long)]
    pub count: Option<u64>,
    /// End at the end of standard input and print the tally
    #[arg(long, conflicts_with = "count")]
    pub until_input_ends: bool,
    /// Milliseconds that a request may take
    #[arg(long, default_value_t = 2_000)]
    pub limit: u64,
    /// Unix socket on which whoever connects is told the tally
    #[arg(long)]
    pub report: Option<PathBuf>,
}

/// Sends requests until `count` of them have ended.
///
/// # Errors
/// If the socket cannot be made; a request that fails is counted.
pub async fn run(plan: Plan) -> anyhow::Result<()> {
    let tally = Arc::new(tally::Counter::new());
    if let Some(path) = &plan.report {
        let listener = listen(path).with_context(|| path.display().to_string())?;
        tokio::spawn(report(listener, tally.clone()));
    }
    let room = Arc::new(Semaphore::new(IN_FLIGHT_LIMIT));
    let mut tick = interval(Duration::from_secs(1) / plan.rate.clamp(1, RATE_LIMIT));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let limit = Duration::from_millis(plan.limit);
    let mut sent = 0;
    let mut told = std::pin::pin!(told(plan.until_input_ends));
    while plan.count.is_none_or(|count| sent < count) {
        tokio::select! {
            () = &mut told => break,
            _ = tick.tick() => {}
        }
        let permit = room.clone().acquire_owned().await?;
        sent += 1;
        let (url, tally) = (plan.url.clone(), tally.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let result = order(&url, sent, limit).await;
            tally.count(result, began.elapsed());
            drop(permit);
        });
    }
    let _all = room.acquire_many(IN_FLIGHT_LIMIT as u32).await?;
    println!("{}", serde_json::to_string(&tally.read())?);
    Ok(())
}

/// Waits for the end of standard input; for ever if nobody will say so.
async fn told(input: bool) {
    if input {
        let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // An input that cannot be read has ended.
        let _ = tokio::task::spawn_blocking(read).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// The version of payments that took part.
async fn order(url: &str, number: u64, limit: Duration) -> Result<String, String> {
    let id = format!("customer-{number}");
    let reply = client::get(url, &id, limit).await.map_err(|error| error.words())?;
    let answer: Option<Answer> = serde_json::from_slice(&reply.body).ok();
    match answer {
        Some(answer) if reply.status.is_success() => {
            Ok(answer.of("payments").map(|found| found.version.clone()).unwrap_or_default())
        }
        Some(Answer { service, error: Some(error), .. }) => {
            Err(format!("{service} answered {}: {error}", reply.status))
        }
        _ => Err(format!("{url} answered {}", reply.status)),
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Tells the tally to whoever connects, one after the other.
async fn report(listener: UnixListener, tally: Arc<tally::Counter>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let text = serde_json::to_vec(&tally.read()).unwrap_or_default();
        // A reader that went away wants no answer.
        let _ = stream.write_all(&text).await;
    }
}
