//! The call of the agent: HTTP over its unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::cni::SOCKET;

/// How long the agent may take: it gives up before this.
const PATIENCE: Duration = Duration::from_secs(9);

/// Most of its words that are repeated, bytes.
pub(super) const MAX_ANSWER: usize = 4 << 10;

/// Why the agent did not say yes.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It is not there.
    #[error("the node agent does not listen on {path:?}; is its DaemonSet running on this node?")]
    Absent {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It went while it was asked.
    #[error("the call of the node agent broke off")]
    Broken(#[from] hyper::Error),
    /// It takes too long.
    #[error("the node agent did not answer within 9 s")]
    Late,
    /// It says no.
    #[error("the node agent answered {status}: {text}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its reason.
        text: String,
    },
    /// It cannot be asked.
    #[error("the call cannot be made")]
    Request(#[from] http::Error),
}

/// Announces a pod; returns once it is captured, or need not be.
///
/// # Errors
/// See [`CallError`].
pub async fn announce(run_dir: &Path, body: &Value) -> Result<(), CallError> {
    let path = run_dir.join(SOCKET);
    timeout(PATIENCE, call(&path, body)).await.map_err(|_| CallError::Late)?
}

async fn call(path: &Path, body: &Value) -> Result<(), CallError> {
    let absent = |source| CallError::Absent { path: path.into(), source };
    let stream = UnixStream::connect(path).await.map_err(absent)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post("/cmdadd")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status == StatusCode::OK {
            return Ok(());
        }
        let said = Limited::new(body, MAX_ANSWER).collect().await;
        let text = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        Err(CallError::Refused { status: head.status, text })
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // It ends first when the answer was the last thing on it.
        _ = &mut connection => exchange.await,
    }
}
