//! A TCP client for tests: many connections to a `bed-echo` at once, checked byte by byte.
//!
//! `bed-load WHAT ADDRESS:PORT [--connections N] [--bytes N] [--messages N] [--interval MS]`
//!
//! - `echo`: sends and reads back `--bytes` of the pattern at the same time, both checked
//! - `upload`: sends, shuts its side down, then reads the server's sum
//! - `download`: reads the pattern to its end
//! - `chat`: `--messages` lines, one every `--interval`, each answered before the next
//! - `talk`: a line every `--interval`, each answered before the next, until end of file on
//!   standard input
//! - `open`: keeps every connection open until end of file on standard input, then chats once
//!
//! Prints one line of JSON and ends with 0 only if every connection was right to the end.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use testbed::pattern::{self, Pattern, Sum};

/// How long a connection may take to be made, and a peer to say anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Standard input has ended.
static TOLD: AtomicBool = AtomicBool::new(false);

#[derive(Clone)]
struct Plan {
    what: String,
    to: SocketAddr,
    connections: usize,
    bytes: u64,
    messages: u32,
    interval: Duration,
}

impl Plan {
    fn parse(mut args: impl Iterator<Item = String>) -> io::Result<Self> {
        let usage = || io::Error::other("usage: bed-load WHAT ADDRESS:PORT [--OPTION N]...");
        let what = args.next().ok_or_else(usage)?;
        let to = args.next().ok_or_else(usage)?.parse().map_err(io::Error::other)?;
        let interval = Duration::ZERO;
        let mut plan = Self { what, to, connections: 1, bytes: 1 << 20, messages: 10, interval };
        while let Some(option) = args.next() {
            let value: u64 = args.next().ok_or_else(usage)?.parse().map_err(io::Error::other)?;
            match option.as_str() {
                "--connections" => plan.connections = value as usize,
                "--bytes" => plan.bytes = value,
                "--messages" => plan.messages = value as u32,
                "--interval" => plan.interval = Duration::from_millis(value),
                _ => return Err(usage()),
            }
        }
        Ok(plan)
    }
}

fn main() -> io::Result<()> {
    let plan = Plan::parse(std::env::args().skip(1))?;
    let start = Instant::now();
    let results = run(&plan)?;
    let failures: Vec<String> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .map(ToString::to_string)
        .collect();
    let bytes: u64 = results.iter().flatten().sum();
    let first = failures.first();
    let report = serde_json::json!({
        "connections": results.len(), "failed": failures.len(), "error": first,
        "bytes": bytes, "seconds": start.elapsed().as_secs_f64(),
    });
    println!("{report}");
    std::process::exit(i32::from(!failures.is_empty()));
}

/// One result for each connection: the bytes it carried, or why it failed.
fn run(plan: &Plan) -> io::Result<Vec<io::Result<u64>>> {
    if plan.what == "open" {
        return Ok(open(plan));
    }
    if plan.what == "talk" {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            TOLD.store(true, Ordering::Relaxed);
        });
    }
    let (send, results) = mpsc::channel();
    for _ in 0..plan.connections {
        let (plan, send) = (plan.clone(), send.clone());
        thread::Builder::new().stack_size(256 * 1024).spawn(move || {
            let _ = send.send(one(&plan));
        })?;
    }
    drop(send);
    Ok(results.iter().collect())
}

fn connect(plan: &Plan) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&plan.to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn one(plan: &Plan) -> io::Result<u64> {
    let stream = connect(plan)?;
    match plan.what.as_str() {
        "echo" => echo(&stream, plan.bytes),
        "upload" => upload(&stream, plan.bytes),
        "download" => {
            writeln!(&stream, "send {}", plan.bytes)?;
            read_pattern(&stream, plan.bytes)
        }
        "chat" => chat(&stream, plan.messages, plan.interval),
        "talk" => chat(&stream, u32::MAX, plan.interval),
        other => Err(io::Error::other(format!(
            "{other:?} is none of echo, upload, download, chat, talk, open"
        ))),
    }
}

fn echo(stream: &TcpStream, bytes: u64) -> io::Result<u64> {
    writeln!(&*stream, "echo")?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            pattern::write(&mut &*stream, bytes)?;
            stream.shutdown(Shutdown::Write)
        });
        let read = read_pattern(stream, bytes);
        writer.join().map_err(|_| io::Error::other("the writer panicked"))??;
        Ok(read? * 2)
    })
}

fn upload(mut stream: &TcpStream, bytes: u64) -> io::Result<u64> {
    writeln!(stream, "sum")?;
    pattern::write(&mut stream, bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (got, want) = (answer.parse::<Sum>()?, Sum::of_pattern(bytes));
    if got == want { Ok(bytes) } else { Err(io::Error::other(format!("sum {got}, not {want}"))) }
}

/// Reads to the end of file, which must come after exactly so many bytes.
fn read_pattern(mut from: impl Read, bytes: u64) -> io::Result<u64> {
    let mut pattern = Pattern::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match from.read(&mut buffer)? {
            0 if total == bytes => return Ok(total),
            0 => return Err(io::Error::other(format!("ended after {total} of {bytes} bytes"))),
            count => {
                pattern
                    .check(&buffer[..count])
                    .map_err(|at| io::Error::other(format!("wrong from byte {at}")))?;
                total += count as u64;
            }
        }
    }
}

fn chat(stream: &TcpStream, messages: u32, interval: Duration) -> io::Result<u64> {
    writeln!(&*stream, "chat")?;
    let mut reader = BufReader::new(stream);
    let mut bytes = 0;
    for number in (1..=messages).take_while(|_| !TOLD.load(Ordering::Relaxed)) {
        bytes += say(stream, &mut reader, number)?;
        thread::sleep(interval);
    }
    Ok(bytes)
}

/// One line and its answer.
fn say(mut to: &TcpStream, from: &mut BufReader<&TcpStream>, number: u32) -> io::Result<u64> {
    to.write_all(format!("line {number}\n").as_bytes())?;
    let mut answer = String::new();
    from.read_line(&mut answer)?;
    let want = format!("{number} line {number}\n");
    if answer == want {
        return Ok(want.len() as u64);
    }
    Err(io::Error::other(format!("answer {number} was {answer:?}, not {want:?}")))
}

fn open(plan: &Plan) -> Vec<io::Result<u64>> {
    let streams: Vec<_> = (0..plan.connections).map(|_| first_line(plan)).collect();
    let up = streams.iter().filter(|stream| stream.is_ok()).count();
    println!("{up} open");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let last = |stream: io::Result<TcpStream>| {
        let stream = stream?;
        say(&stream, &mut BufReader::new(&stream), 2)
    };
    streams.into_iter().map(last).collect()
}

fn first_line(plan: &Plan) -> io::Result<TcpStream> {
    let stream = connect(plan)?;
    writeln!(&stream, "chat")?;
    say(&stream, &mut BufReader::new(&stream), 1)?;
    Ok(stream)
}
