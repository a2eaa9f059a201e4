//! A window, of which the rings of the proxies have the newer part.
//!
//! Where rings begin differs, since a busy node fills its ring sooner. One moment is the seam for
//! all of them, so that nothing is counted twice: connections and requests before it are those of
//! Prometheus, and those after it the rings'. Whatever else was remembered is the rings' alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use observe::fleet::Fleet;
use observe::pb::{Answer, EdgeKey, Origin, Query};
use observe::query::{Checked, QueryError};
use observe::recorder::Happened;
use observe::source::{Heard, Hearing, PROMETHEUS, Source};
use observe::{now_ms, step_of};
use tokio::sync::broadcast;
use tracing::warn;

use super::Prometheus;
use super::promql::Span;

/// A proxy whose ring is younger does not move the seam: it is new on its node, or was replaced.
const YOUNG_MS: i64 = 3_600_000;
/// How long an answer counts: what is over does not change, but the seam moves on.
const FRESH: Duration = Duration::from_mins(1);
/// How long nothing is asked after a failure, so that pages do not all wait for it.
const PAUSE: Duration = Duration::from_secs(15);
/// How long the beginning of the rings counts as known.
const KNOWN: Duration = Duration::from_secs(10);
/// Answers that are kept.
const MAX_KEPT: usize = 8;
/// Bounds of a part without steps: those of windows that slide are then the same for a while.
const GRID_MS: i64 = 60_000;

/// Asks the proxies, and for what is older a Prometheus.
#[derive(Debug)]
pub struct Older {
    fleet: Fleet,
    prometheus: Prometheus,
    oldest: Mutex<Option<(Instant, i64)>>,
    kept: Mutex<HashMap<String, Kept>>,
}

/// When it was asked for, and what became of it.
type Kept = (Instant, Result<Answer, String>);

impl Older {
    /// Of those.
    pub fn new(fleet: Fleet, prometheus: Prometheus) -> Self {
        Self { fleet, prometheus, oldest: Mutex::default(), kept: Mutex::default() }
    }

    async fn answers(&self, query: Query) -> Result<Vec<Heard>, QueryError> {
        let checked = Checked::new(&query)?;
        let oldest = if is_known_there(&query) { self.oldest().await? } else { i64::MIN };
        if oldest <= checked.from_ms {
            return self.fleet.ask(query).await;
        }
        let span = span(&checked, oldest, self.prometheus.step_ms());
        let seam = span.to_ms.min(checked.to_ms);
        // What is no edge is asked of the whole window.
        let mut rest = query.clone();
        rest.want.retain(|want| want != "edges");
        let edges = Query { want: vec!["edges".to_owned()], ..query.clone() };
        let newer = Query { from_ms: seam, to_ms: checked.to_ms, ..edges.clone() };
        let newer = async {
            if seam < checked.to_ms { self.fleet.ask(newer).await } else { Ok(Vec::new()) }
        };
        let step_ms = if checked.steps() == 1 { 0 } else { checked.step_ms };
        let part = Query { from_ms: span.from_ms, to_ms: seam, step_ms, ..query };
        let (heard, newer, mut older) =
            tokio::join!(self.fleet.ask(rest), newer, self.older(&part, span));
        let mut heard = heard?;
        // Without Prometheus the rings tell what they have of it.
        let newer = if older.is_ok() { newer? } else { self.fleet.ask(edges).await? };
        join(&mut heard, newer, &checked);
        if let Ok(answer) = &mut older {
            complete(answer, &heard);
            (answer.from_ms, answer.to_ms, answer.step_ms) =
                (checked.from_ms, checked.to_ms, checked.step_ms);
        }
        let origin = Origin {
            kind: PROMETHEUS.to_owned(),
            name: PROMETHEUS.to_owned(),
            ..Origin::default()
        };
        let part = Some((part.from_ms, part.to_ms));
        heard.push(Heard { origin, connected_ms: 0, part, result: older });
        Ok(heard)
    }

    /// Since when all rings remember, but for those that are young; known for a moment.
    async fn oldest(&self) -> Result<i64, QueryError> {
        let known = *lock(&self.oldest);
        if let Some((at, oldest)) = known
            && at.elapsed() < KNOWN
        {
            return Ok(oldest);
        }
        let now = now_ms();
        let query = Query { from_ms: now - 1, to_ms: now, ..Query::default() };
        let oldest = oldest_of(&self.fleet.ask(query).await?, now);
        *lock(&self.oldest) = Some((Instant::now(), oldest));
        Ok(oldest)
    }

    /// What Prometheus says, or said a moment ago.
    async fn older(&self, part: &Query, span: Span) -> Result<Answer, String> {
        let key = format!("{:?}", (span, part.step_ms, &part.filter, &part.group));
        if let Some(known) = self.known(&key) {
            return known;
        }
        let answered = self.prometheus.ask(part, span).await.map_err(|error| error.to_string());
        if let Err(error) = &answered {
            warn!(error, "Prometheus does not tell what is older than the rings");
        }
        self.keep(key, answered.clone());
        answered
    }

    fn keep(&self, key: String, answered: Result<Answer, String>) {
        let mut kept = lock(&self.kept);
        if kept.len() < MAX_KEPT {
            kept.insert(key, (Instant::now(), answered));
        }
    }

    fn known(&self, key: &str) -> Option<Result<Answer, String>> {
        let mut kept = lock(&self.kept);
        kept.retain(|_, (at, answer)| at.elapsed() < if answer.is_ok() { FRESH } else { PAUSE });
        kept.get(key).map(|(_, answer)| answer.clone())
    }
}

impl Source for Older {
    fn scope(&self) -> &'static str {
        self.fleet.scope()
    }

    fn ask(&self, query: Query) -> Hearing<'_> {
        Box::pin(self.answers(query))
    }

    fn away(&self) -> Option<&'static str> {
        self.fleet.away()
    }

    fn watch(&self) -> broadcast::Receiver<Happened> {
        self.fleet.watch()
    }

    fn longer(&self) -> &'static str {
        PROMETHEUS
    }
}

/// Whether it is a question that metrics can answer: they know no nodes, policies and routes.
fn is_known_there(query: &Query) -> bool {
    let wants = |what: &str| query.want.iter().any(|want| want == what);
    let filter = query.filter.clone().unwrap_or_default();
    let known = |field: &String| !matches!(field.as_str(), "policy" | "route" | "rule" | "backend");
    wants("edges")
        && !wants("costs")
        && filter.node.is_empty()
        && filter.policy.is_empty()
        && query.group.iter().all(known)
}

/// The latest beginning of a ring that is not young; of all, if all are.
fn oldest_of(heard: &[Heard], now: i64) -> i64 {
    let proxies = heard.iter().filter(|heard| heard.origin.kind != "control");
    let begins = proxies.filter_map(|heard| Some(heard.result.as_ref().ok()?.oldest_ms));
    let begins: Vec<i64> = begins.collect();
    let old = begins.iter().copied().filter(|oldest| now - oldest >= YOUNG_MS).max();
    // Without any proxy there is nothing but Prometheus.
    old.or(begins.into_iter().max()).unwrap_or(now)
}

/// The part of a window that is older than `oldest`, in whole steps: of the window, and of
/// Prometheus. It ends on or after the beginning of the rings, so that no step is shared.
fn span(checked: &Checked, oldest: i64, narrowest_ms: i64) -> Span {
    let single = checked.steps() == 1;
    let times = (narrowest_ms + checked.step_ms - 1) / checked.step_ms;
    let grid = if single { GRID_MS } else { checked.step_ms * times.max(1) };
    let from_ms = if single { step_of(checked.from_ms, GRID_MS) } else { checked.from_ms };
    let wanted = oldest.min(checked.to_ms) - from_ms;
    let to_ms = from_ms + (wanted + grid - 1) / grid * grid;
    Span { from_ms, to_ms, step_ms: if single { to_ms - from_ms } else { grid } }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is whole between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives each proxy's answer the edges that it told apart; one that did not is missing as a whole.
fn join(heard: &mut [Heard], newer: Vec<Heard>, checked: &Checked) {
    let name = |origin: &Origin| (origin.node.clone(), origin.kind.clone(), origin.name.clone());
    let mut newer: HashMap<_, _> =
        newer.into_iter().map(|heard| (name(&heard.origin), heard.result)).collect();
    for one in heard {
        let Ok(answer) = &mut one.result else { continue };
        (answer.from_ms, answer.to_ms, answer.step_ms) =
            (checked.from_ms, checked.to_ms, checked.step_ms);
        match newer.remove(&name(&one.origin)) {
            Some(Ok(edges)) => {
                answer.edges = edges.edges;
                answer.folded = edges.folded;
            }
            Some(Err(error)) => one.result = Err(error),
            None => {}
        }
    }
}

/// Metrics have no port, and a waypoint's have its name only if that is how it is scraped. What
/// the rings know of the same connections tells them, so that a link is one link.
fn complete(answer: &mut Answer, heard: &[Heard]) {
    // A waypoint has the port that was called, node proxies that of the program.
    type Ends<'a> = (bool, &'a str, &'a str, &'a str, &'a str, &'a str);
    fn ends(key: &EdgeKey) -> Ends<'_> {
        let (source, destination) = (key.source.as_ref(), key.destination.as_ref());
        (
            key.reporter == "waypoint",
            source.map_or("", |party| &party.namespace),
            source.map_or("", |party| &party.workload),
            destination.map_or("", |party| &party.namespace),
            destination.map_or("", |party| &party.workload),
            &key.service,
        )
    }
    let mut ports: HashMap<Ends<'_>, Option<u32>> = HashMap::new();
    let mut waypoints: HashMap<&str, &str> = HashMap::new();
    let answers = heard.iter().filter_map(|heard| heard.result.as_ref().ok());
    for key in answers.flat_map(|answer| &answer.edges).filter_map(|edge| edge.key.as_ref()) {
        let port = ports.entry(ends(key)).or_insert(Some(key.port));
        // Of two nobody knows which.
        *port = port.filter(|port| *port == key.port);
        if !key.waypoint.is_empty() {
            waypoints.insert(&key.service, &key.waypoint);
        }
    }
    for key in answer.edges.iter_mut().filter_map(|edge| edge.key.as_mut()) {
        key.port = ports.get(&ends(key)).copied().flatten().unwrap_or(0);
        if key.reporter == "waypoint" && key.waypoint.is_empty() {
            key.waypoint =
                waypoints.get(key.service.as_str()).copied().unwrap_or_default().to_owned();
        }
    }
    // Of a waypoint that nobody can name there is no place in the graph.
    let placed = |key: &EdgeKey| key.reporter != "waypoint" || !key.waypoint.is_empty();
    answer.edges.retain(|edge| edge.key.as_ref().is_some_and(placed));
}

#[cfg(test)]
mod tests;
