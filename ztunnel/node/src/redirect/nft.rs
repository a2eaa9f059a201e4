//! `nft` inside a pod's network namespace: one atomic transaction in, the state out.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use hbone::netns::{Netns, NetnsError};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::ruleset::{MANGLE_TABLE, NAT_TABLE};

/// How long one run of `nft` may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Most of what `nft` complains that an error keeps, in bytes.
const MAX_COMPLAINT: usize = 400;

/// Why rules could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The namespace cannot be entered.
    #[error("cannot enter the pod's network namespace")]
    Netns(#[from] NetnsError),
    /// The program is missing or could not be fed.
    #[error("cannot run nft; install nftables")]
    Run(#[source] io::Error),
    /// It did not end in time.
    #[error("nft did not end within 10 s")]
    Deadline,
    /// It refused the transaction; nothing was changed.
    #[error("nft ended with {status}: {complaint}")]
    Refused {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        complaint: String,
    },
    /// Its listing cannot be read.
    #[error("cannot read the listing of nft")]
    Listing(#[source] serde_json::Error),
}

/// The rules that a namespace has, without the numbers that differ between two
/// applications of the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(Vec<Value>);

impl Listing {
    /// Whether there is nothing of ours.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Applies `transaction` wholly or not at all.
pub async fn apply(netns: &Netns, transaction: &str) -> Result<(), NftError> {
    run(netns, &["-f", "-"], transaction).await.map(drop)
}

/// Reads our tables back.
pub async fn list(netns: &Netns) -> Result<Listing, NftError> {
    let output = run(netns, &["-j", "list", "ruleset"], "").await?;
    let ruleset: Value = serde_json::from_slice(&output.stdout).map_err(NftError::Listing)?;
    let objects = ruleset.get("nftables").and_then(Value::as_array);
    let ours = objects.into_iter().flatten().filter(|object| is_ours(object));
    let mut rules: Vec<Value> = ours.cloned().collect();
    rules.iter_mut().for_each(forget_handles);
    Ok(Listing(rules))
}

fn is_ours(object: &Value) -> bool {
    let mine = |name: &str| name == NAT_TABLE || name == MANGLE_TABLE;
    let body = object.as_object().and_then(|object| object.values().next());
    let field = |key: &str| body.and_then(|body| body.get(key)).and_then(Value::as_str);
    field("table").is_some_and(mine)
        || object.get("table").is_some() && field("name").is_some_and(mine)
}

fn forget_handles(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("handle");
            map.values_mut().for_each(forget_handles);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_handles),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn run(netns: &Netns, arguments: &[&str], input: &str) -> Result<Output, NftError> {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    // A child starts in the namespace of the thread that makes it.
    let mut child = netns.run(|| command.spawn())?.map_err(NftError::Run)?;
    let feed_and_wait = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = timeout(DEADLINE, feed_and_wait).await.map_err(|_| NftError::Deadline)?;
    let output = output.map_err(NftError::Run)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let complaint = said.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect();
    Err(NftError::Refused { status: output.status, complaint })
}
