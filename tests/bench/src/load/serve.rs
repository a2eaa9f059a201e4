//! The server of all load programs.

use std::io;
use std::net::Ipv6Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{HEADER, Purpose, http};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Bytes of one read of a bulk stream.
const PIECE: usize = 256 * 1024;

/// Answers on a port of both families until it is killed.
///
/// # Errors
/// If the port is taken, or descriptors run out.
pub async fn run(port: u16) -> anyhow::Result<()> {
    serve(listen(port)?, |stream| async { answer(stream).await }).await
}

/// A listener on the wildcard address of both families.
pub(super) fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv6Addr::UNSPECIFIED, port).into())?;
    socket.listen(BACKLOG)
}

/// Runs `answer` on each connection; what fails is a client that went away.
pub(super) async fn serve<F>(
    listener: TcpListener,
    answer: impl Fn(TcpStream) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(answer(stream));
    }
}

pub(super) async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    match Purpose::parse(header)? {
        Purpose::Bulk => count(stream).await,
        Purpose::Exchange(size) => send_back(stream, size as usize).await,
        Purpose::Http => http::answer(stream).await,
        // This side closes first and keeps the TIME_WAIT, so that the client's ports stay free.
        Purpose::Connect => stream.write_all(b"!").await,
    }
}

async fn count(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            n => total += n as u64,
        }
    }
    stream.write_all(&total.to_be_bytes()).await
}

async fn send_back(mut stream: TcpStream, size: usize) -> io::Result<()> {
    // Taken only while a message is under way: an idle connection costs the server nothing.
    loop {
        stream.readable().await?;
        let mut message = vec![0; size];
        stream.read_exact(&mut message).await?;
        stream.write_all(&message).await?;
    }
}
