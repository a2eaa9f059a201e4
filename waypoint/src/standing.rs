//! Ends what runs when a policy turns against it.
//!
//! A request is judged once, when it arrives; a download, a gRPC stream or an upgraded
//! connection may run for days after that. So what was permitted is kept beside it and judged
//! again when policies have changed: the decision is the same pure function, and authorizers,
//! whose answers held for the request that they saw, are not asked again.
//!
//! While bytes flow this costs one load and a comparison per piece; only what waits is queued
//! to be woken, once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::authorize::{self, Permitted, Revoked};
use crate::inbound::Inbound;
use crate::state::State;

/// What was permitted and still runs.
pub struct Standing {
    state: Arc<State>,
    inbound: Arc<Inbound>,
    what: Permitted,
    judged: u64,
    waiting: Option<Waiting>,
}

/// Queued for the next change of a policy.
struct Waiting {
    waker: Waker,
    change: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Standing {
    /// For `what`, which `inbound` carries. It was permitted by the policies of generation
    /// `judged`.
    pub fn new(state: Arc<State>, inbound: Arc<Inbound>, what: Permitted, judged: u64) -> Self {
        Self { state, inbound, what, judged, waiting: None }
    }

    /// The same for another task.
    #[must_use]
    pub fn another(&self) -> Self {
        let (state, inbound) = (Arc::clone(&self.state), Arc::clone(&self.inbound));
        Self { state, inbound, what: self.what.clone(), judged: self.judged, waiting: None }
    }

    /// Judges again if policies have changed since the last time.
    ///
    /// # Errors
    /// What forbids it now.
    pub fn check(&mut self) -> Result<(), Revoked> {
        if self.state.config().policy_generation == self.judged {
            return Ok(());
        }
        let world = self.state.world();
        self.judged = world.config.policy_generation;
        self.waiting = None;
        authorize::reconsider(&world, &self.inbound, &self.what)
    }

    /// Ready when a policy forbids it.
    pub fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<Revoked> {
        loop {
            if let Err(revoked) = self.check() {
                return Poll::Ready(revoked);
            }
            if self.waiting.as_ref().is_some_and(|waiting| waiting.waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            let mut change = self.waiting.take().map_or_else(|| self.next_change(), |w| w.change);
            if change.as_mut().poll(cx).is_pending() {
                self.waiting = Some(Waiting { waker: cx.waker().clone(), change });
                // A change between the check and the queue would be missed.
                if self.state.config().policy_generation == self.judged {
                    return Poll::Pending;
                }
            }
        }
    }

    /// Completes when a policy forbids it. Cancel safe.
    pub async fn revoked(&mut self) -> Revoked {
        poll_fn(|cx| self.poll_revoked(cx)).await
    }

    fn next_change(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut changes = self.state.policy_changes();
        Box::pin(async move {
            let _ = changes.changed().await;
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
