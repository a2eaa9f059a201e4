//! Closes a connection when its permit no longer holds.

use std::sync::{Mutex, PoisonError};

use crate::decide::{Denied, Permit};
use crate::state::State;

use super::pod::Pod;

/// What stops an inbound connection: its pod's end, or a policy.
#[derive(Debug, Default)]
pub(super) struct Stop(Mutex<Option<Denied>>);

impl Stop {
    /// Completes when the connection must end; [`Stop::reason`] then says why.
    pub(super) async fn wanted(&self, pod: &Pod, permit: &Permit) {
        tokio::select! {
            denied = revoked(&pod.shared.state, permit) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(denied);
            }
            () = pod.killed() => {}
        }
    }

    /// The policy that forbade it; none if the pod ended.
    pub(super) fn reason(&self) -> Option<Denied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Completes when the policies turn against an open connection.
async fn revoked(state: &State, permit: &Permit) -> Denied {
    let mut changes = state.policy_changes();
    loop {
        // A change between the permit and the subscription must not be missed.
        if let Err(denied) = permit.still_holds(&state.snapshot()) {
            return denied;
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
