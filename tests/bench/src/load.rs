//! The load programs. Each uses one thread, so that on a small machine it takes as little as
//! possible from what it measures.
//!
//! Every connection opens with a header of five bytes that says what follows: a letter and a
//! size as a big-endian `u32`, or `POST` and a blank.
//!
//! - [`serve`]: answers all the others
//! - [`bulk`]: as many bytes as go through
//! - [`exchange`]: requests and responses on open connections
//! - [`http`]: the same in HTTP/1.1
//! - [`connect`]: one connection after another
//! - [`idle`]: connections that do nothing
//! - [`relay`]: a service that asks the next one

pub mod bulk;
pub mod connect;
pub mod exchange;
pub mod http;
pub mod idle;
pub mod relay;
pub mod serve;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// A load program.
#[derive(Clone, Debug, Subcommand)]
pub enum Load {
    /// Answer load on a port, for ever
    Serve {
        /// The port
        #[arg(long)]
        port: u16,
    },
    /// Send bytes on some streams at once
    Bulk(Target),
    /// Send requests of 1 KiB on some connections, each when the last was answered
    Exchange(Target),
    /// Send HTTP requests of 1 KiB on some connections, each when the last was answered
    Http(Target),
    /// Open connections, each for one byte and its answer
    Connect(Target),
    /// Open connections and keep them until standard input ends
    Idle(Target),
    /// Pass connections on to another service
    Relay {
        /// The port
        #[arg(long)]
        port: u16,
        /// Where they go
        #[arg(long)]
        next: SocketAddr,
    },
}

/// Whom to load, how, how long.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The server
    #[arg(long)]
    pub to: SocketAddr,
    /// Connections at once
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// How long, in milliseconds
    #[arg(long, default_value_t = 1000)]
    pub millis: u64,
}

impl Target {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

/// What a load program saw, printed as JSON on one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Bytes that the server has counted.
    pub bytes: u64,
    /// Requests answered, or connections made.
    pub requests: u64,
    /// Half of the requests took at most this long, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 requests took at most this long, in microseconds.
    pub p99_us: f64,
}

impl Seen {
    /// Sums up requests by the nanoseconds that each took.
    pub fn of_latencies(seconds: f64, mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let requests = nanoseconds.len() as u64;
        let at = |part: f64| {
            let rank = (part * nanoseconds.len() as f64).ceil() as usize;
            nanoseconds.get(rank.saturating_sub(1)).map_or(0.0, |ns| *ns as f64 / 1000.0)
        };
        Self { seconds, requests, p50_us: at(0.5), p99_us: at(0.99), ..Self::default() }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bytes to count until the end; the answer is their number.
    Bulk,
    /// Messages of this size to send back.
    Exchange(u32),
    /// Requests of HTTP/1.1; the header is the beginning of the first.
    Http,
    /// An answer of one byte, and the end.
    Connect,
}

/// Bytes of the header.
pub const HEADER: usize = 5;

impl Purpose {
    /// The header that announces it.
    pub fn header(self) -> [u8; HEADER] {
        let (letter, size) = match self {
            Self::Bulk => (b'B', 0),
            Self::Exchange(size) => (b'E', size),
            Self::Connect => (b'C', 0),
            Self::Http => return http::METHOD,
        };
        let [a, b, c, d] = u32::to_be_bytes(size);
        [letter, a, b, c, d]
    }

    /// Reads a header.
    ///
    /// # Errors
    /// `InvalidData` for another letter, and for messages of no byte or more than 1 MiB.
    pub fn parse(header: [u8; HEADER]) -> io::Result<Self> {
        if header == http::METHOD {
            return Ok(Self::Http);
        }
        let [letter, a, b, c, d] = header;
        let size = u32::from_be_bytes([a, b, c, d]);
        match letter {
            b'B' => Ok(Self::Bulk),
            b'E' if (1..=1 << 20).contains(&size) => Ok(Self::Exchange(size)),
            b'C' => Ok(Self::Connect),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no header of this benchmark")),
        }
    }
}

/// Runs a load program to its end.
///
/// # Errors
/// If a connection fails: a benchmark of something broken has no result.
pub fn run(load: &Load) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(async {
        Ok::<_, anyhow::Error>(match load {
            Load::Serve { port } => return serve::run(*port).await.map(|()| None),
            Load::Relay { port, next } => return relay::run(*port, *next).await.map(|()| None),
            Load::Idle(target) => return idle::run(target).await.map(|()| None),
            Load::Bulk(target) => Some(bulk::run(target).await?),
            Load::Exchange(target) => Some(exchange::run(target).await?),
            Load::Http(target) => Some(http::run(target).await?),
            Load::Connect(target) => Some(connect::run(target).await?),
        })
    })?;
    if let Some(seen) = seen {
        println!("{}", serde_json::to_string(&seen)?);
    }
    Ok(())
}

/// A connection that has sent its header.
async fn open(to: SocketAddr, purpose: Purpose) -> io::Result<TcpStream> {
    let mut stream = connect(to).await?;
    stream.write_all(&purpose.header()).await?;
    Ok(stream)
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Thousands of connections need as many descriptors; a refusal shows when they run out.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests;
