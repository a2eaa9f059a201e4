//! Questions over HTTP, as a page asks them, and how long their answers take.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use observe::now_ms;
use tokio::net::TcpStream;

/// How long one measurement may take; it ends with the question that is under way.
const LONGEST: Duration = Duration::from_secs(60);

/// A page and its window.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What it is called in the table.
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) window_ms: i64,
}

impl Question {
    /// The target of a request: of a live window that has moved by `n`, so that no answer of
    /// before is the same.
    fn target(&self, n: i64) -> String {
        let now = now_ms();
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let from = now - self.window_ms - n;
        format!("/api/v1/{}{separator}from={from}&to={now}", self.path)
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn get(port: u16, target: &str) -> anyhow::Result<(u16, Bytes)> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    let running = tokio::spawn(connection);
    let request = http::Request::get(target)
        .header(http::header::HOST, format!("127.0.0.1:{port}"))
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    running.abort();
    Ok((status, body))
}

/// What was measured of one question.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) taken: Vec<Duration>,
    pub(crate) bytes: usize,
    /// Proxies that were missing in some answer.
    pub(crate) missing: usize,
}

/// Asks `times` times, one after another.
pub(crate) async fn one_by_one(
    port: u16,
    question: &Question,
    times: usize,
) -> anyhow::Result<Times> {
    let (mut all, begun) = (Times::default(), Instant::now());
    for n in 0..times {
        if begun.elapsed() > LONGEST {
            break;
        }
        let target = question.target(i64::try_from(n)?);
        let asked = Instant::now();
        let answer = get(port, &target).await?;
        all.taken.push(asked.elapsed());
        all.note(&target, &answer)?;
    }
    Ok(all)
}

/// `viewers` ask the same at once, again and again.
pub(crate) async fn together(
    port: u16,
    question: &Question,
    viewers: usize,
    times: usize,
) -> anyhow::Result<Times> {
    let (mut all, begun) = (Times::default(), Instant::now());
    for n in 0..times {
        if begun.elapsed() > LONGEST {
            break;
        }
        let target = question.target(i64::try_from(n)?);
        let asked = Instant::now();
        let viewers = (0..viewers).map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                let answer = get(port, &target).await?;
                Ok::<_, anyhow::Error>((asked.elapsed(), answer))
            })
        });
        for viewer in viewers.collect::<Vec<_>>() {
            let (taken, answer) = viewer.await??;
            all.taken.push(taken);
            all.note(&target, &answer)?;
        }
    }
    Ok(all)
}

impl Times {
    fn note(&mut self, target: &str, (status, body): &(u16, Bytes)) -> anyhow::Result<()> {
        ensure!(*status == 200, "{target}: {status} {}", String::from_utf8_lossy(body));
        let answer: serde_json::Value =
            serde_json::from_slice(body).context("an answer is no JSON")?;
        self.bytes = self.bytes.max(body.len());
        self.missing = self.missing.max(answer["missing"].as_array().map_or(0, Vec::len));
        Ok(())
    }

    /// The time below which a share of `q` lies, in milliseconds.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        quantile(&self.taken, q)
    }
}

pub(crate) fn quantile(taken: &[Duration], q: f64) -> f64 {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable();
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).map_or(0.0, |taken| taken.as_secs_f64() * 1_000.0)
}
