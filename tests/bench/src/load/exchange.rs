//! Requests and responses of 1 KiB on open connections.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Purpose, Seen, Target, open};

/// Bytes of a request, and of its response.
pub(super) const MESSAGE: usize = 1024;

/// Opens all connections, then sends on each the next request when the last is answered.
pub(super) async fn run(target: &Target) -> anyhow::Result<Seen> {
    let mut open_streams = Vec::with_capacity(target.connections);
    for _ in 0..target.connections {
        let mut stream = open(target.to, Purpose::Exchange(MESSAGE as u32)).await?;
        // Its way is there when the first answer is.
        exchange(&mut stream, &mut [0; MESSAGE]).await?;
        open_streams.push(stream);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for stream in open_streams {
        tasks.spawn(ask(stream, begin, target.duration()));
    }
    let mut latencies = Vec::new();
    while let Some(taken) = tasks.join_next().await {
        latencies.extend(taken??);
    }
    Ok(Seen::of_latencies(begin.elapsed().as_secs_f64(), latencies))
}

/// The nanoseconds that each request took.
async fn ask(mut stream: TcpStream, begin: Instant, duration: Duration) -> io::Result<Vec<u64>> {
    let mut message = [0x5a; MESSAGE];
    let mut latencies = Vec::new();
    let mut sent = Instant::now();
    while sent.duration_since(begin) < duration {
        exchange(&mut stream, &mut message).await?;
        let answered = Instant::now();
        latencies.push(answered.duration_since(sent).as_nanos() as u64);
        sent = answered;
    }
    Ok(latencies)
}

/// One request and its response.
pub(super) async fn exchange(
    stream: &mut TcpStream,
    message: &mut [u8; MESSAGE],
) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.read_exact(message).await?;
    Ok(())
}
