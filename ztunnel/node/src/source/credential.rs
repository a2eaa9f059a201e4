//! The node credential: bought once with a join token, renewed at half of its life into the
//! file that this agent and ztunnel read for each call.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hbone::channel::{ChannelError, ControlPlane};
use hbone::wire::pb::ambit::node::v1 as pb;
use pb::node_service_client::NodeServiceClient;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Backoff;
use crate::atomic;
use crate::pod::Pod;

/// How long one exchange may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longest token that is taken or read, in bytes.
const MAX_TOKEN: usize = 64 << 10;

/// Longest wait until a renewal: a suspended machine or a jumped clock is found by then.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// Where the tokens are.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    /// The single-use token that an operator placed.
    pub join_token: PathBuf,
    /// The credential, written here for every reader: mode 0600, replaced atomically.
    pub credential: PathBuf,
}

/// When the credential was issued and ends; kept beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    /// Seconds since 1970.
    issued: i64,
    /// Seconds since 1970.
    expires: i64,
}

/// Keeps the credential valid.
pub struct Credential {
    /// Without a token: for joining.
    join: ControlPlane,
    /// With the credential file: for renewing.
    renew: ControlPlane,
    files: CredentialFiles,
    node: String,
}

/// Why there is no new credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The control plane cannot be reached.
    #[error("no connection")]
    Connect(#[from] ChannelError),
    /// It refused.
    #[error("control answered {} {:?}", .0.code(), .0.message())]
    Refused(Box<tonic::Status>),
    /// It did not answer in time.
    #[error("control did not answer within 10 s")]
    Deadline,
    /// A file cannot be read or written.
    #[error("{path:?}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The join token file does not hold a token.
    #[error("join token {path:?} is {length} bytes; it must hold one token")]
    JoinToken {
        /// The file.
        path: PathBuf,
        /// What was found.
        length: usize,
    },
    /// What it sent cannot be used.
    #[error("control sent a credential that is empty, too long or already ended")]
    Useless,
}

impl From<tonic::Status> for CredentialError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Life {
    /// How long to wait until the renewal at half of the life.
    fn wait(self, now: i64) -> Duration {
        let half = self.issued + (self.expires - self.issued) / 2;
        Duration::from_secs(u64::try_from(half - now).unwrap_or(0)).min(MAX_WAIT)
    }
}

impl Credential {
    /// `join` must carry no token; `renew` that of `files.credential`.
    pub fn new(
        join: ControlPlane,
        renew: ControlPlane,
        files: CredentialFiles,
        node: String,
    ) -> Self {
        Self { join, renew, files, node }
    }

    /// Joins or renews as needed until `stop`; `valid` becomes true once there is a
    /// credential. Failures are retried with backoff.
    pub async fn keep(self, valid: watch::Sender<bool>, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        loop {
            let wait = match self.refresh(now(), &valid).await {
                Ok(life) => {
                    backoff.reset();
                    valid.send_replace(true);
                    // At least a second, lest a short life makes a loop of requests.
                    life.wait(now()).max(Duration::from_secs(1))
                }
                Err(error) => {
                    let reason = crate::chain(&error);
                    warn!(reason, "cannot get a node credential");
                    backoff.delay()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Leaves a young credential, renews an older one, joins without a valid one.
    async fn refresh(
        &self,
        now: i64,
        valid: &watch::Sender<bool>,
    ) -> Result<Life, CredentialError> {
        match self.held() {
            Some(life) if now < life.expires => {
                valid.send_replace(true);
                if life.wait(now) > Duration::ZERO {
                    return Ok(life);
                }
                let channel = self.renew.connect().await?;
                let mut client = NodeServiceClient::new(channel);
                let answer = timeout(DEADLINE, client.renew(pb::RenewRequest {})).await;
                self.store(now, answer.map_err(|_| CredentialError::Deadline)??.into_inner())
            }
            _ => {
                let token = self.join_token()?;
                let channel = self.join.connect().await?;
                let request = pb::JoinRequest { token, node: self.node.clone() };
                let mut client = NodeServiceClient::new(channel);
                let answer = timeout(DEADLINE, client.join(request)).await;
                self.store(now, answer.map_err(|_| CredentialError::Deadline)??.into_inner())
            }
        }
    }

    fn held(&self) -> Option<Life> {
        std::fs::metadata(&self.files.credential).ok().filter(|file| file.len() > 0)?;
        serde_json::from_slice(&std::fs::read(self.life_file()).ok()?).ok()
    }

    fn join_token(&self) -> Result<String, CredentialError> {
        let path = &self.files.join_token;
        let text = std::fs::read_to_string(path)
            .map_err(|source| CredentialError::File { path: path.clone(), source })?;
        let token = text.trim();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(CredentialError::JoinToken { path: path.clone(), length: text.len() });
        }
        Ok(token.to_owned())
    }

    fn store(&self, now: i64, credential: pb::Credential) -> Result<Life, CredentialError> {
        let pb::Credential { token, expires } = credential;
        if token.is_empty() || token.len() > MAX_TOKEN || expires <= now {
            return Err(CredentialError::Useless);
        }
        let life = Life { issued: now, expires };
        let life_text = serde_json::to_vec(&life).unwrap_or_default();
        for (path, content) in
            [(&self.files.credential, token.as_bytes()), (&self.life_file(), &life_text[..])]
        {
            atomic::replace(path, content)
                .map_err(|source| CredentialError::File { path: path.clone(), source })?;
        }
        info!(expires, "node credential written");
        Ok(life)
    }

    /// Beside the credential, so that a restart knows its life without reading the token.
    fn life_file(&self) -> PathBuf {
        let mut name = self.files.credential.clone().into_os_string();
        name.push(".life");
        name.into()
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Buys a credential for one pod of this node into `file`, mode 0600, and says how long to
/// wait until the next one is due: half of its life.
pub async fn pod_credential(
    control: &ControlPlane,
    pod: &Pod,
    file: &Path,
) -> Result<Duration, CredentialError> {
    let channel = control.connect().await?;
    let request = pb::PodCredentialRequest {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.to_string(),
    };
    let mut client = NodeServiceClient::new(channel);
    let answer = timeout(DEADLINE, client.pod_credential(request)).await;
    let pb::Credential { token, expires } =
        answer.map_err(|_| CredentialError::Deadline)??.into_inner();
    let issued = now();
    if token.is_empty() || token.len() > MAX_TOKEN || expires <= issued {
        return Err(CredentialError::Useless);
    }
    atomic::replace(file, token.as_bytes())
        .map_err(|source| CredentialError::File { path: file.into(), source })?;
    Ok(Life { issued, expires }.wait(issued).max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_at_half_of_the_life() {
        let life = Life { issued: 1000, expires: 1200 };
        for (now, wait) in [(1000, 100), (1060, 40), (1100, 0), (1300, 0)] {
            assert_eq!(life.wait(now), Duration::from_secs(wait), "at {now}");
        }
        assert_eq!(Life { issued: 0, expires: 86_400 }.wait(0), MAX_WAIT);
    }
}
