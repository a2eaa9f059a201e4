//! As many bytes as go through.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::{Purpose, Seen, Target, open};

/// Bytes of one write.
const PIECE: usize = 256 * 1024;

/// Sends on every connection for the given time, then ends it and waits for the server's
/// count; the time is until the last count.
pub(super) async fn run(target: &Target) -> anyhow::Result<Seen> {
    let begin = Instant::now();
    let mut streams = JoinSet::new();
    for _ in 0..target.connections {
        streams.spawn(send(target.to, begin, target.duration()));
    }
    let mut bytes = 0;
    while let Some(counted) = streams.join_next().await {
        bytes += counted??;
    }
    Ok(Seen { seconds: begin.elapsed().as_secs_f64(), bytes, ..Seen::default() })
}

async fn send(to: SocketAddr, begin: Instant, duration: Duration) -> io::Result<u64> {
    let mut stream = open(to, Purpose::Bulk).await?;
    let piece = vec![0xa5; PIECE];
    let mut sent = 0;
    while begin.elapsed() < duration {
        stream.write_all(&piece).await?;
        sent += piece.len() as u64;
    }
    stream.shutdown().await?;
    let counted = stream.read_u64().await?;
    if counted != sent {
        let message = format!("sent {sent} bytes, the server counted {counted}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(counted)
}
