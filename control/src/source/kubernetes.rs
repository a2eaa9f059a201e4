//! The API server of a Kubernetes cluster.
//!
//! One watch for each kind. A watch that breaks begins again where it was, or with a new list
//! if the server has forgotten that place. Nothing is dropped meanwhile: what a new list lacks
//! is gone only when that list is complete. A kind that the server does not know, because its
//! definition is not installed, counts as empty and is asked for again and again.

mod held;
pub(crate) mod kinds;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select_all};
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector::Lookup as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use self::held::Held;
use self::kinds::Watched;
use super::Update;
use super::read::Context;
use crate::kubernetes::observed::Observed;

/// Changes that come this close together are one update.
const GATHER: Duration = Duration::from_millis(20);
/// Most changes of one update, give or take a batch: a first list may have many thousands.
const MAX_GATHERED: usize = 10_000;
/// How long a kind must stay unknown before what is held of it counts as gone: a server that
/// starts may not know its own definitions yet.
const UNKNOWN: Duration = Duration::from_secs(30);

/// A connection to an API server.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    context: Context,
    observed: Observed,
}

impl Kubernetes {
    /// Reads through `client`, and notes in `observed` what writers need.
    pub fn new(client: Client, context: Context, observed: Observed) -> Self {
        Self { client, context, observed }
    }

    fn watch(&self, watched: Watched) -> BoxStream<'static, (Watched, Item)> {
        let config = match watched.only(&self.context) {
            Some(fields) => watcher::Config::default().fields(&fields),
            None => watcher::Config::default(),
        };
        let events = watcher(watched.api(self.client.clone()), config).backoff(Patience::default());
        events.map(move |item| (watched, item)).boxed()
    }
}

type Item = Result<Event<DynamicObject>, watcher::Error>;

/// Watches until `updates` is closed: first everything, once each kind is known, then every
/// change.
pub async fn run(source: Kubernetes, updates: mpsc::Sender<Update>) {
    let mut held = Held::new(source.context.clone(), source.observed.clone());
    let mut events = select_all(kinds::ALL.into_iter().map(|kind| source.watch(kind)));
    loop {
        let first = tokio::select! {
            event = events.next() => event,
            () = updates.closed() => return,
        };
        let Some(first) = first else { return };
        take(&mut held, first);
        let until = Instant::now() + GATHER;
        while held.pending() < MAX_GATHERED {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => take(&mut held, event),
                    None => break,
                },
                () = sleep_until(until) => break,
            }
        }
        if let Some(update) = held.update() {
            info!(
                changes = update.changes.len(),
                problems = update.problems.len(),
                "cluster changed"
            );
            if updates.send(update).await.is_err() {
                return;
            }
        }
    }
}

fn take(held: &mut Held, (watched, item): (Watched, Item)) {
    match item {
        Ok(Event::Init) => held.list_begins(watched),
        Ok(Event::InitApply(object)) => held.listed(watched, &object),
        Ok(Event::InitDone) => {
            debug!(kind = %watched, "listed");
            held.list_is_complete(watched);
        }
        Ok(Event::Apply(object)) => held.apply(watched, &object),
        Ok(Event::Delete(object)) => {
            let (name, namespace) = (object.name(), object.namespace());
            held.delete(
                watched,
                namespace.as_deref().unwrap_or_default(),
                &name.unwrap_or_default(),
            );
        }
        Err(error) if is_unknown_kind(&error) => {
            if held.is_unknown(watched, std::time::Instant::now()) {
                info!(kind = %watched, "the API server does not know this kind; waiting for it");
            }
        }
        Err(error) if is_forbidden(&error) => {
            warn!(kind = %watched, %error,
                "not allowed to watch this kind; grant get, list and watch on it");
        }
        Err(error) => warn!(kind = %watched, %error, "watch broken; beginning again"),
    }
}

/// Whether the server said that it has no such resource.
fn is_unknown_kind(error: &watcher::Error) -> bool {
    status(error) == Some(404)
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(status(error), Some(401 | 403))
}

fn status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Pauses between tries: from a tenth of a second to five, so that a server which is back is
/// soon heard and one that is not is not flooded.
#[derive(Debug, Default)]
struct Patience(u32);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(100) * 2_u32.pow(self.0.min(6));
        self.0 += 1;
        let spread = rand::random_range(0.75..1.25);
        Some(pause.min(Duration::from_secs(5)).mul_f64(spread))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0 = 0;
    }
}
