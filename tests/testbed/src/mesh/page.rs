//! Pages of programs, asked for inside their network namespace.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::MeshError;
use crate::netns::Netns;

/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest page that is read.
const PAGE_LIMIT: u64 = 64 * 1024 * 1024;

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for a page: `method` and `path` of the server at `address` in a namespace.
///
/// # Errors
/// `Page` if there is no answer within 5 s, or none that is HTTP.
pub async fn ask(
    netns: &Netns,
    address: SocketAddr,
    method: &str,
    path: &str,
) -> Result<Page, MeshError> {
    let failed = |problem: String| MeshError::Page {
        page: format!("{method} http://{address}{path} in {}", netns.name()),
        problem,
    };
    // HTTP/1.0: the body ends with the connection and is never cut into chunks.
    let request =
        format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let inside = netns.clone();
    let asked = tokio::task::spawn_blocking(move || {
        inside.run(|| exchange(address, request.as_bytes())).map_err(io::Error::other)?
    });
    let answer = asked.await.map_err(|error| failed(error.to_string()))?;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    read(&answer)
        .ok_or_else(|| failed(format!("is no HTTP: {:.80}", String::from_utf8_lossy(&answer))))
}

fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.take(PAGE_LIMIT).read_to_end(&mut answer)?;
    Ok(answer)
}

/// `None` if it is no HTTP.
pub(super) fn read(answer: &[u8]) -> Option<Page> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let body = String::from_utf8_lossy(answer.get(end + 4..)?).into_owned();
    Some(Page { status, body })
}

/// The JSON of a page of the API.
pub(super) fn json(whose: &str, path: &str, page: Page) -> Result<serde_json::Value, MeshError> {
    let failed =
        |problem: String| MeshError::Page { page: format!("/api/v1/{path} of {whose}"), problem };
    if page.status != 200 {
        return Err(failed(format!("status {}: {:.300}", page.status, page.body)));
    }
    serde_json::from_str(&page.body).map_err(|error| failed(error.to_string()))
}
