//! Connections of a test itself from inside a pod, for what a program cannot tell exactly.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pod::MeshPod;

/// How long a peer may take to accept or to answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Lines to a server and back, over one connection.
#[derive(Debug)]
pub struct Chat {
    stream: BufReader<TcpStream>,
    said: u32,
}

impl MeshPod {
    /// A connection from inside the pod.
    ///
    /// # Errors
    /// What connect(2) says; `TimedOut` after 15 s.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let netns = self.netns().clone();
        let connected = tokio::task::spawn_blocking(move || {
            let connected = netns.run(|| std::net::TcpStream::connect_timeout(&to, LIMIT));
            connected.map_err(io::Error::other)?
        });
        let stream = connected.await.map_err(io::Error::other)??;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }

    /// Sends `words`, shuts its side down, and reads the answer to its end.
    ///
    /// # Errors
    /// A refusal or reset; `TimedOut` after 15 s; `UnexpectedEof` if the answer is empty, as
    /// when a proxy accepts and closes.
    pub async fn asks(&self, to: SocketAddr, words: &str) -> io::Result<String> {
        let exchange = async {
            let mut stream = self.connect(to).await?;
            stream.write_all(words.as_bytes()).await?;
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
        };
        timeout(LIMIT, exchange).await?
    }

    /// The address that the echo server at `to` sees as this pod's.
    ///
    /// # Errors
    /// As [`MeshPod::asks`].
    pub async fn is_seen_as(&self, to: SocketAddr) -> io::Result<String> {
        let answer = self.asks(to, "peer\n").await?;
        Ok(answer.split(' ').next().unwrap_or_default().to_owned())
    }

    /// A chat with the echo server at `to`; one line is said and answered.
    ///
    /// # Errors
    /// A refusal or reset, or silence.
    pub async fn chat(&self, to: SocketAddr) -> io::Result<Chat> {
        let mut stream = self.connect(to).await?;
        stream.write_all(b"chat\n").await?;
        let mut chat = Chat { stream: BufReader::new(stream), said: 0 };
        chat.say("hello").await?;
        Ok(chat)
    }
}

impl Chat {
    /// Says a line and waits for the right answer.
    ///
    /// # Errors
    /// A reset, an end, silence for 15 s, or another answer.
    pub async fn say(&mut self, line: &str) -> io::Result<()> {
        self.said += 1;
        let (said, wanted) = (format!("{line}\n"), format!("{} {line}\n", self.said));
        self.stream.get_mut().write_all(said.as_bytes()).await?;
        let mut answer = String::new();
        timeout(LIMIT, self.stream.read_line(&mut answer)).await??;
        if answer == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!("{wanted:?} was to come, and {answer:?} came")))
    }

    /// Waits until the other side ends the connection, and says how long that took.
    ///
    /// # Errors
    /// `TimedOut` if it is still open after `limit`, `InvalidData` if something was said.
    pub async fn is_ended(&mut self, limit: Duration) -> io::Result<Duration> {
        let start = Instant::now();
        let mut rest = [0; 64];
        match timeout(limit, self.stream.read(&mut rest)).await? {
            Ok(0) | Err(_) => Ok(start.elapsed()),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
