//! A TCP server for tests.
//!
//! `bed-echo [--port N]` listens on IPv4 and IPv6 (default port 7) and prints `ready`. The
//! first line of a connection says what is wanted:
//!
//! - `echo`: everything after it comes back as it is read, until the client's end of file
//! - `peer`: the client's address as the server sees it, and the end
//! - `sum`: read to the end of file, then the number of bytes and their checksum
//! - `send N`: N bytes of the pattern, and the end
//! - `chat`: each line comes back with a running number before it

use std::env;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use testbed::pattern::{self, Sum};

/// Longest first line and longest line of a chat.
const LINE: u64 = 64 * 1024;

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let port = match (args.next().as_deref(), args.next()) {
        (None, None) => 7,
        (Some("--port"), Some(port)) => port.parse().map_err(io::Error::other)?,
        _ => return Err(io::Error::other("usage: bed-echo [--port N]")),
    };
    // One socket for both families: IPv4 clients appear as mapped addresses.
    let listener = TcpListener::bind(("::", port))?;
    println!("ready");
    loop {
        // A client that is gone already, or no descriptor left: the next may fare better.
        if let Ok((stream, _)) = listener.accept() {
            thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                if let Err(error) = serve(&stream) {
                    eprintln!("connection ended: {error}");
                }
            })?;
        }
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let mut writer = BufWriter::with_capacity(64 * 1024, stream);
    let mut line = String::new();
    reader.by_ref().take(LINE).read_line(&mut line)?;
    match line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "")) {
        ("echo", "") => echo(&mut reader, stream)?,
        ("chat", "") => chat(&mut reader, stream)?,
        ("peer", "") => {
            let peer = stream.peer_addr()?;
            writeln!(writer, "{} {}", peer.ip().to_canonical(), peer.port())?;
        }
        ("sum", "") => {
            let sum = Sum::of(&mut reader)?;
            writeln!(writer, "{sum}")?;
        }
        ("send", count) => {
            pattern::write(&mut writer, count.parse().map_err(io::Error::other)?)?;
        }
        _ => writeln!(writer, "error: unknown request {line:?}")?,
    }
    writer.flush()?;
    stream.shutdown(Shutdown::Write)
}

/// Unbuffered on the way back, so that every byte read is sent on.
fn echo(reader: &mut BufReader<&TcpStream>, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        to.write_all(bytes)?;
        let count = bytes.len();
        reader.consume(count);
    }
}

fn chat(reader: &mut BufReader<&TcpStream>, mut to: &TcpStream) -> io::Result<()> {
    for number in 1.. {
        let mut line = String::new();
        if reader.by_ref().take(LINE).read_line(&mut line)? == 0 {
            break;
        }
        to.write_all(format!("{number} {line}").as_bytes())?;
    }
    Ok(())
}
