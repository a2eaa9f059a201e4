//! Ends an exchange at once when a policy turns against it or its time is over, also one whose client does not read.
//!
//! A server asks the body of an answer for more only when its client takes what is there, so a
//! body that breaks off is heard of by a client that reads. A client that does not read would
//! keep its exchange for as long as it likes. So the task that carries an exchange is on a leash:
//! while it waits for whatever it is, it also waits for these, and is dropped with all that it
//! holds: the stream of the client, the answer and the connection below it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::time::Sleep;

use super::body::Cut;
use crate::standing::Standing;

tokio::task_local! {
    /// Of the task that carries one exchange of HTTP/2.
    static OF_TASK: Leash;
}

/// Holds what may end the exchange that a task carries; none between two exchanges.
#[derive(Clone, Default)]
pub struct Leash(Arc<Mutex<Option<Held>>>);

/// What an exchange leaves there once its answer is on its way.
pub struct Held {
    /// What may end it.
    pub standing: Standing,
    /// When its answer must be complete.
    pub deadline: Option<Pin<Box<Sleep>>>,
    /// Told why it was ended.
    pub cut: Arc<OnceLock<Cut>>,
}

impl Held {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        if let Poll::Ready(revoked) = self.standing.poll_revoked(cx) {
            return Poll::Ready(revoked.into());
        }
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx).map(|()| Cut::Late),
            None => Poll::Pending,
        }
    }
}

impl Leash {
    /// The leash of the task that runs; one that nobody holds if it has none.
    pub fn of_task() -> Self {
        OF_TASK.try_with(Self::clone).unwrap_or_default()
    }

    /// An exchange may be ended from now on, until [`release`](Self::release).
    pub fn hold(&self, held: Held) {
        *self.lock() = Some(held);
    }

    /// The exchange has ended.
    pub fn release(&self) {
        let held = self.lock().take();
        drop(held);
    }

    /// Runs `future` with this as the leash of its task, until it is done or must end.
    pub async fn of(self, future: impl Future<Output = ()>) {
        let leash = self.clone();
        OF_TASK
            .scope(self, async move {
                leash.until_cut(future).await;
            })
            .await;
    }

    /// Runs `future` until it is done; none if it must end. Dropping it is what ends it.
    pub async fn until_cut<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let done = poll_fn(|cx| {
            // What reads hears of it by itself, in the best order that its protocol has.
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let mut held = self.lock();
            let Some(exchange) = held.as_mut() else { return Poll::Pending };
            let why = ready!(exchange.poll_end(cx));
            let _ = exchange.cut.set(why);
            Poll::Ready(None)
        })
        .await;
        self.release();
        done
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs each exchange of an HTTP/2 connection in a task of its own, on a leash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leashed;

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Leashed {
    fn execute(&self, exchange: F) {
        tokio::spawn(Leash::default().of(exchange));
    }
}

#[cfg(test)]
mod tests;
