//! Requests and responses of 1 KiB on open connections.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Purpose, Seen, Target, open};

/// Bytes of a request, and of its response.
pub(super) const MESSAGE: usize = 1024;

/// A connection on which one request follows the other.
pub(super) trait Exchange: Send + 'static {
    /// One request and its response.
    fn once(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Opens all connections, then sends on each the next request when the last is answered.
pub(super) async fn run(target: &Target) -> anyhow::Result<Seen> {
    let mut connections = Vec::with_capacity(target.connections);
    for _ in 0..target.connections {
        let stream = open(target.to, Purpose::Exchange(MESSAGE as u32)).await?;
        let mut connection = Raw { stream, message: [0x5a; MESSAGE] };
        // Its way is there when the first answer is.
        connection.once().await?;
        connections.push(connection);
    }
    measure(connections, target.duration()).await
}

/// Requests on all connections at once.
pub(super) async fn measure(
    connections: Vec<impl Exchange>,
    duration: Duration,
) -> anyhow::Result<Seen> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(ask(connection, begin, duration));
    }
    let mut latencies = Vec::new();
    while let Some(taken) = tasks.join_next().await {
        latencies.extend(taken??);
    }
    Ok(Seen::of_latencies(begin.elapsed().as_secs_f64(), latencies))
}

/// The nanoseconds that each request took.
async fn ask(
    mut connection: impl Exchange,
    begin: Instant,
    duration: Duration,
) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut sent = Instant::now();
    while sent.duration_since(begin) < duration {
        connection.once().await?;
        let answered = Instant::now();
        latencies.push(answered.duration_since(sent).as_nanos() as u64);
        sent = answered;
    }
    Ok(latencies)
}

/// Messages that the server sends back, without any protocol.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
    pub(super) message: [u8; MESSAGE],
}

impl Exchange for Raw {
    async fn once(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.message).await?;
        self.stream.read_exact(&mut self.message).await?;
        Ok(())
    }
}
