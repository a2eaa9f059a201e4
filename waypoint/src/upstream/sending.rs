//! Tasks that send the bodies of requests on HTTP/2 connections; each ends when its body is
//! severed, also when it waits for an application that takes no more.
//!
//! Such a task holds its stream open, and what the application has not read of it fills the
//! window that all streams of the connection share: left alone, a client that is gone, or that a
//! policy cut, would hold up the others. hyper makes the task right after it has asked the body
//! for its first frame, on the same thread; that is how the task finds its body.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use hyper::rt::Executor;

use crate::http::upload::Upload;

thread_local! {
    /// The body that was asked last, until a task takes it.
    static ASKED: Cell<Option<Upload>> = const { Cell::new(None) };
}

/// Called by a body that an HTTP/2 connection asks for a frame.
pub(crate) fn asked(upload: Upload) {
    ASKED.set(Some(upload));
}

/// Runs the tasks of HTTP/2 connections to applications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending;

impl<F> Executor<F> for Sending
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        match ASKED.take() {
            Some(upload) => drop(tokio::spawn(until_severed(task, upload))),
            None => drop(tokio::spawn(task)),
        }
    }
}

async fn until_severed(task: impl Future, upload: Upload) {
    let mut task = pin!(task);
    poll_fn(|cx| {
        if upload.poll_severed(cx).is_ready() {
            return Poll::Ready(());
        }
        let polled = task.as_mut().poll(cx).map(drop);
        // It has its task already.
        drop(ASKED.take());
        polled
    })
    .await;
}
