//! What the guard and the service tell each other.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Not one message with one meaning.
    Malformed(&'static str),
    /// Over the limits.
    TooLarge,
    /// Not complete in time.
    Late,
}

/// What the guard and the service of a connection tell each other.
#[derive(Debug, Default)]
pub struct Signals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Heads that the guard let through.
    delivered: u64,
    /// Requests that the service has begun.
    begun: u64,
    rejection: Option<Rejection>,
    /// Of the request that asks for an upgrade: whether it was granted.
    upgraded: Option<bool>,
    waiting: Option<Waker>,
}

impl Signals {
    pub(super) fn delivered(&self) {
        self.lock().delivered += 1;
    }

    pub(super) fn reject(&self, why: Rejection) {
        self.lock().rejection = Some(why);
    }

    pub(super) fn hold(&self) {
        self.lock().upgraded = None;
    }

    pub(super) fn poll_upgraded(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        match state.upgraded {
            Some(upgraded) => Poll::Ready(upgraded),
            None => {
                state.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The service begins its next request: why that one is refused, if it is.
    pub fn rejection(&self) -> Option<Rejection> {
        let mut state = self.lock();
        state.begun += 1;
        if state.begun > state.delivered { state.rejection } else { None }
    }

    /// The service has an answer to the request that it began last: whether that grants an
    /// upgrade.
    pub fn upgraded(&self, granted: bool) {
        let mut state = self.lock();
        // The parser reads ahead: what is held may be a later request, which is not answered yet.
        if state.begun < state.delivered {
            return;
        }
        state.upgraded = Some(granted);
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
