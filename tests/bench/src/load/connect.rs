//! One connection after another.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use super::{Purpose, Seen, Target, open};

/// Opens connections, `target.connections` at a time; each ends with the server's answer.
pub(super) async fn run(target: &Target) -> anyhow::Result<Seen> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..target.connections {
        tasks.spawn(one_by_one(target.to, begin, target.duration()));
    }
    let mut latencies = Vec::new();
    while let Some(taken) = tasks.join_next().await {
        latencies.extend(taken??);
    }
    Ok(Seen::of_latencies(begin.elapsed().as_secs_f64(), latencies))
}

async fn one_by_one(to: SocketAddr, begin: Instant, duration: Duration) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut started = Instant::now();
    while started.duration_since(begin) < duration {
        let mut stream = open(to, Purpose::Connect).await?;
        // The answer and the end: the server closes first; see there.
        let mut answer = Vec::with_capacity(2);
        stream.read_to_end(&mut answer).await?;
        if answer.len() != 1 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ended = Instant::now();
        latencies.push(ended.duration_since(started).as_nanos() as u64);
        started = ended;
    }
    Ok(latencies)
}
