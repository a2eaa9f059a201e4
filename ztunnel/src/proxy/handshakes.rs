//! How many TLS handshakes a pod, and one client of it, may have under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::record::Limit;

/// The handshakes of one pod. Beyond the pod's limit they wait; beyond a client's they are
/// refused, since that client has shown no identity yet and may never.
#[derive(Debug)]
pub(super) struct Handshakes {
    all: Semaphore,
    of_source: u32,
    by_source: Mutex<HashMap<IpAddr, u32>>,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _all: Option<SemaphorePermit<'a>>,
    _source: Source<'a>,
}

/// A client has its share under way already.
#[derive(Debug, thiserror::Error)]
#[error("{source_ip} has {limit} handshakes under way already (AMBIT_SOURCE_MAX_HANDSHAKES)")]
pub(super) struct TooMany {
    source_ip: IpAddr,
    limit: u32,
}

impl Handshakes {
    pub(super) fn new(of_pod: u32, of_source: u32) -> Self {
        let all = Semaphore::new(of_pod as usize);
        Self { all, of_source, by_source: Mutex::default() }
    }

    /// A turn for `source`; waits for the pod's limit. `reached` hears of the limits that it
    /// meets. Cancel safe.
    pub(super) async fn turn(
        &self,
        source: IpAddr,
        reached: impl Fn(Limit),
    ) -> Result<Turn<'_>, TooMany> {
        let source = self.count(source).inspect_err(|_| reached(Limit::SourceHandshakes))?;
        let all = if let Ok(permit) = self.all.try_acquire() {
            Some(permit)
        } else {
            reached(Limit::PodHandshakes);
            // It is never closed.
            self.all.acquire().await.ok()
        };
        Ok(Turn { _all: all, _source: source })
    }

    fn count(&self, source: IpAddr) -> Result<Source<'_>, TooMany> {
        let mut by_source = self.lock();
        let under_way = by_source.entry(source).or_insert(0);
        if *under_way >= self.of_source {
            return Err(TooMany { source_ip: source, limit: self.of_source });
        }
        *under_way += 1;
        Ok(Source { handshakes: self, source })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Source<'a> {
    handshakes: &'a Handshakes,
    source: IpAddr,
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        let mut by_source = self.handshakes.lock();
        if let Some(under_way) = by_source.get_mut(&self.source) {
            *under_way -= 1;
            if *under_way == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests;
