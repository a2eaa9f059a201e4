//! The steady customer, and what it tells of the shop.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use shop::Tally;
use testbed::mesh::MeshPod;
use testbed::{Process, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// Bytes of a tally that are read.
const TALLY_LIMIT: u64 = 64 * 1024;
/// How long the customer may take to see what it should.
const PATIENCE: Duration = Duration::from_secs(20);

/// The customer's program and the socket on which it tells its tally.
pub(crate) struct Customer {
    socket: PathBuf,
    _process: Process,
}

impl Customer {
    /// Starts the customer in its pod and waits until it tells its tally.
    ///
    /// # Errors
    /// If the program does not start.
    pub(crate) async fn start(pod: &MeshPod, socket: PathBuf) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let command = pod.command(program).named("traffic").args(["shop", "traffic", "--report"]);
        let process = command.arg(&socket).spawn()?;
        let customer = Self { socket, _process: process };
        customer.until("the customer answers", |_| true).await?;
        Ok(customer)
    }

    /// What it got so far.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn tally(&self) -> anyhow::Result<Tally> {
        let ask = async {
            let stream = UnixStream::connect(&self.socket).await?;
            let mut text = Vec::new();
            stream.take(TALLY_LIMIT).read_to_end(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let answer = tokio::time::timeout(PATIENCE, ask).await;
        let text = answer.context("the customer does not answer")?.context("the customer")?;
        serde_json::from_slice(&text).context("the customer's tally")
    }

    /// Waits until the tally is such, and returns it.
    ///
    /// # Errors
    /// With the customer's last failure, if that takes too long.
    pub(crate) async fn until(
        &self,
        what: &str,
        is: impl Fn(&Tally) -> bool,
    ) -> anyhow::Result<Tally> {
        let mut last = Tally::default();
        let waited = eventually(what, PATIENCE, async || match self.tally().await {
            Ok(tally) => {
                last = tally;
                is(&last)
            }
            Err(_) => false,
        });
        let Err(late) = waited.await else { return Ok(last) };
        let words = last.failures.last().map_or("", |failure| failure.why.as_str());
        Err(late).context(format!("the customer has {} answers; last failure: {words:?}", last.ok))
    }

    /// Waits for so many more good answers.
    ///
    /// # Errors
    /// If they do not come.
    pub(crate) async fn served(&self, more: u64) -> anyhow::Result<Tally> {
        let before = self.tally().await?.ok;
        self.until("the customer is served", |tally| tally.ok >= before + more).await
    }

    /// Waits until the last `count` answers were good.
    ///
    /// # Errors
    /// If that does not happen.
    pub(crate) async fn content(&self, count: u64) -> anyhow::Result<Tally> {
        self.until("the customer is content again", |tally| tally.streak >= count).await
    }
}
