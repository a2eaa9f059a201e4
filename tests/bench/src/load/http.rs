//! Requests and responses of HTTP/1.1 on open connections, each with a body of 1 KiB.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::exchange::{Exchange, MESSAGE, measure};
use super::{HEADER, Seen, Target, connect};

/// How a request begins: the header by which the server knows this load.
pub(super) const METHOD: [u8; HEADER] = *b"POST ";
/// Bytes of a head, of which proxies add most.
const MAX_HEAD: usize = 16 * 1024;

/// Opens all connections, then sends on each the next request when the last is answered.
pub(super) async fn run(target: &Target) -> anyhow::Result<Seen> {
    let mut clients = Vec::with_capacity(target.connections);
    for _ in 0..target.connections {
        let mut client = Client::open(target.to).await?;
        // Its way is there when the first answer is.
        client.once().await?;
        clients.push(client);
    }
    measure(clients, target.duration()).await
}

/// A connection of a client.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    /// Kept between requests.
    answer: Vec<u8>,
}

impl Client {
    async fn open(to: SocketAddr) -> io::Result<Self> {
        let head = format!("/load HTTP/1.1\r\nhost: {to}\r\ncontent-length: {MESSAGE}\r\n\r\n");
        let request = message(&[&METHOD, head.as_bytes()]);
        Ok(Self { stream: connect(to).await?, request, answer: Vec::new() })
    }
}

impl Exchange for Client {
    async fn once(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        if !receive(&mut self.stream, &mut self.answer).await? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = self.answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if !status.starts_with(b"HTTP/1.1 200") {
            let status = String::from_utf8_lossy(status);
            return Err(wrong(&format!("the answer is {status}; it should be 200")));
        }
        Ok(())
    }
}

/// Answers requests until the client ends; the first began with [`METHOD`], which was read.
pub(super) async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MESSAGE}\r\n\r\n");
    let response = message(&[head.as_bytes()]);
    let mut request = METHOD.to_vec();
    while receive(&mut stream, &mut request).await? {
        stream.write_all(&response).await?;
        request.clear();
    }
    Ok(())
}

/// A head and a body of [`MESSAGE`] bytes.
fn message(head: &[&[u8]]) -> Vec<u8> {
    let mut message = head.concat();
    message.resize(message.len() + MESSAGE, b'Z');
    message
}

/// Reads the rest of the message that `buffer` begins with; false if there is none. Nobody
/// here sends a message before the last was answered, so nothing comes after it.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        if length(buffer)?.is_some_and(|length| buffer.len() >= length) {
            return Ok(true);
        }
        if stream.read_buf(buffer).await? == 0 {
            let ended = if buffer.is_empty() { Ok(false) } else { Err(ErrorKind::UnexpectedEof) };
            return ended.map_err(io::Error::from);
        }
    }
}

/// How long the message is that `bytes` begin with, once its head is there.
fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() {
            0..MAX_HEAD => Ok(None),
            _ => Err(wrong("a head has no end within 16 KiB")),
        };
    };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default());
    let head = head.map_err(|_| wrong("a head is no text"))?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let body = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = body
        .and_then(|(_, length)| length.trim().parse().ok())
        .filter(|length| *length <= 1 << 20)
        .ok_or_else(|| wrong("a head has no content-length up to 1 MiB"))?;
    Ok(Some(end + 4 + body))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests;
