//! Applications of the tests themselves, inside a pod, which do exactly what a test is about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testbed::mesh::MeshPod;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What an application does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Answers with this status and a short body.
    Status(u16),
    /// Never answers.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Answers 200, and a body that never ends.
    Drip,
}

/// Between two pieces of a body that never ends.
const DRIP: Duration = Duration::from_millis(20);

/// Paths that were asked for, each with its number of requests.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<HashMap<String, usize>>>);

impl Asked {
    /// How many requests for `path` have come.
    pub(crate) fn times(&self, path: &str) -> usize {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(path).copied().unwrap_or_default()
    }

    fn count(&self, path: &str) -> usize {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(path.to_owned()).or_default();
        *times += 1;
        *times
    }
}

/// Listens on `port` of every address of a pod.
pub(crate) fn listen(pod: &MeshPod, port: u16) -> anyhow::Result<TcpListener> {
    let listener = pod.netns().run(|| std::net::TcpListener::bind(("::", port)))??;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Serves HTTP/1.1 on port 8080; `decide` sees the path and which request for it this is,
/// from 1.
pub(crate) fn serve(pod: &MeshPod, decide: fn(&str, usize) -> Answer) -> anyhow::Result<Asked> {
    let listener = listen(pod, 8080)?;
    let asked = Asked::default();
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = counted.clone();
            tokio::spawn(async move { connection(stream, &asked, decide).await.ok() });
        }
    });
    Ok(asked)
}

/// Requests one after another; none of them has a body.
async fn connection(
    stream: TcpStream,
    asked: &Asked,
    decide: fn(&str, usize) -> Answer,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        match decide(path, asked.count(path)) {
            Answer::Status(status) => {
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\ndone\n");
                stream.get_mut().write_all(answer.as_bytes()).await?;
            }
            Answer::Silence => std::future::pending().await,
            Answer::HangUp => return Ok(()),
            Answer::Drip => drip(stream.get_mut()).await?,
        }
    }
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    loop {
        stream.write_all(b"4\r\ndrip\r\n").await?;
        tokio::time::sleep(DRIP).await;
    }
}
