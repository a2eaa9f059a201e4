//! The call by which a CNI plugin tells the node agent of a new pod.
//!
//! docs/wire.md, "The CNI call".

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::bed::Pod;

/// The agent's socket in its run directory.
const SOCKET: &str = "pluginevent.sock";
/// How long the agent may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// Why the agent did not take a pod; a container runtime would not start the pod.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The agent cannot be reached.
    #[error("node agent at {socket}: {source}")]
    Agent {
        /// The socket.
        socket: String,
        /// What the system said.
        source: io::Error,
    },
    /// The agent did not answer in 5 s.
    #[error("node agent at {0} did not answer within {LIMIT:?}")]
    Silent(String),
    /// The agent answered something else than 200.
    #[error("node agent refused {pod}: status {status}: {body}")]
    Refused {
        /// The pod.
        pod: String,
        /// The HTTP status.
        status: u16,
        /// The agent's words.
        body: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Added<'a> {
    netns: &'a Path,
    pod_name: &'a str,
    pod_namespace: &'a str,
    #[serde(rename = "IPs")]
    ips: Vec<Assigned>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Assigned {
    interface: Option<u32>,
    address: Network,
    gateway: &'static str,
}

#[derive(Serialize)]
struct Network {
    #[serde(rename = "IP")]
    ip: IpAddr,
    /// A full mask in base64, as the other side's standard library writes bytes.
    #[serde(rename = "Mask")]
    mask: &'static str,
}

impl From<IpAddr> for Assigned {
    fn from(ip: IpAddr) -> Self {
        let (mask, gateway) = match ip {
            IpAddr::V4(_) => ("/////w==", ""),
            IpAddr::V6(_) => ("/////////////////////w==", ""),
        };
        Self { interface: Some(0), address: Network { ip, mask }, gateway }
    }
}

impl Pod {
    /// Announces the pod to the node agent whose sockets are in `run_dir`, as the container
    /// runtime's chain of CNI plugins does before the pod's programs start.
    ///
    /// # Errors
    /// `Refused` if the agent could not enrol the pod.
    pub async fn announce(&self, run_dir: &Path) -> Result<(), AnnounceError> {
        let socket = run_dir.join(SOCKET).display().to_string();
        let Ok(answer) = timeout(LIMIT, exchange(&socket, &request(self))).await else {
            return Err(AnnounceError::Silent(socket));
        };
        let answer = answer.map_err(|source| AnnounceError::Agent { socket, source })?;
        let (status, body) = read_answer(&answer);
        if status == 200 {
            return Ok(());
        }
        Err(AnnounceError::Refused { pod: self.full_name().to_owned(), status, body })
    }
}

fn request(pod: &Pod) -> Vec<u8> {
    let added = Added {
        netns: pod.netns().path(),
        pod_name: pod.name(),
        pod_namespace: pod.namespace(),
        ips: pod.ips().map(Assigned::from).into(),
    };
    let body = serde_json::to_string(&added).unwrap_or_default();
    let length = body.len();
    format!(
        "POST /cmdadd HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn exchange(socket: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Status and body; 0 if it is no HTTP.
fn read_answer(answer: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    (status, body.to_owned())
}
