//! One request to a process, over whatever way leads there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::way::Way;

/// How long a whole page may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest page that is read, bytes: a dump of a large mesh has some tens of MiB.
const LONGEST: usize = 256 << 20;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Bytes,
}

impl Page {
    /// The body as text; what is no UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks for a page.
///
/// # Errors
/// If nobody is there, or the answer is not there within 10 s.
pub(crate) async fn ask(way: &Way, method: Method, path: &str) -> anyhow::Result<Page> {
    let asked = async {
        let answer = send(way, method, path).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        Ok(Page { status, body: body.to_bytes() })
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(page) => page,
        Err(_) => bail!("no answer within {} s", LIMIT.as_secs()),
    }
}

/// Asks for a page that goes on; its body is read as it comes.
///
/// # Errors
/// If nobody is there, or the status is not 200.
pub(crate) async fn follow(way: &Way, path: &str) -> anyhow::Result<Incoming> {
    let sent = tokio::time::timeout(LIMIT, send(way, Method::GET, path));
    let answer =
        sent.await.with_context(|| format!("no answer within {} s", LIMIT.as_secs()))??;
    if answer.status() != 200 {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), 4 << 10).collect().await;
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned());
        bail!("{status}: {}", text.unwrap_or_default());
    }
    Ok(answer.into_body())
}

async fn send(way: &Way, method: Method, path: &str) -> anyhow::Result<Response<Incoming>> {
    let stream = way.open().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer's body, or when that is dropped.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        // Admin pages answer only to who names their own machine.
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .with_context(|| format!("{path:?} is no path"))?;
    Ok(sender.send_request(request).await?)
}
