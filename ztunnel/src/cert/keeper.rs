//! The life of one identity's certificate.
//!
//! `Initializing` -fetched-> `Available` -half of its life-> fetched again, the old one in
//! force meanwhile. A failure without a valid certificate is `Unavailable`; with one it only
//! shows in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use hbone::identity::SpiffeId;
use hbone::tls::WorkloadCertificate;
use observe::recorder::Recorder;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::retry::Retry;
use super::slots::{Priority, Slots};
use super::{Clock, Issuer};

/// Longest sleep before the wall clock is looked at again: it may have been set, or the
/// machine been suspended.
const LOOK: Duration = Duration::from_secs(30);
/// Bound of one fetch, whatever the issuer does.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// What `/config_dump` says of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Initializing,
    Available,
    Unavailable(String),
}

impl State {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Initializing => "the first fetch has not ended".to_owned(),
            Self::Available => "the certificate expired and no new one came".to_owned(),
            Self::Unavailable(reason) => reason.clone(),
        }
    }
}

/// One identity: its certificate, its state, how urgent the next fetch is.
pub(super) struct Keeper {
    id: SpiffeId,
    certificate: ArcSwapOption<WorkloadCertificate>,
    state: watch::Sender<State>,
    urgent: AtomicU8,
    forgotten: AtomicBool,
}

impl Keeper {
    pub(super) fn new(id: SpiffeId, priority: Priority) -> Self {
        Self {
            id,
            certificate: ArcSwapOption::empty(),
            state: watch::Sender::new(State::Initializing),
            urgent: AtomicU8::new(priority as u8),
            forgotten: AtomicBool::new(false),
        }
    }

    /// The certificate, if it is valid at `now`.
    pub(super) fn valid(&self, now: SystemTime) -> Option<Arc<WorkloadCertificate>> {
        self.certificate.load_full().filter(|certificate| now < certificate.not_after())
    }

    /// The certificate, valid or not.
    pub(super) fn held(&self) -> Option<Arc<WorkloadCertificate>> {
        self.certificate.load_full()
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.state.receiver_count() > 0
    }

    pub(super) fn raise(&self, priority: Priority) {
        self.urgent.fetch_max(priority as u8, Ordering::Relaxed);
    }

    /// Ends the wait of those who came too late.
    pub(super) fn forget(&self) {
        self.forgotten.store(true, Ordering::Release);
        self.state.send_modify(|_| {});
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }

    fn priority(&self) -> Priority {
        match self.urgent.load(Ordering::Relaxed) {
            urgent if urgent >= Priority::RealTime as u8 => Priority::RealTime,
            urgent if urgent >= Priority::Warmup as u8 => Priority::Warmup,
            _ => Priority::Background,
        }
    }
}

/// Fetches and rotates until it is aborted.
pub(super) async fn keep(
    keeper: Arc<Keeper>,
    issuer: Arc<dyn Issuer>,
    slots: Slots,
    clock: Clock,
    recorder: Recorder,
) {
    let mut retry = Retry::default();
    loop {
        let slot = slots.acquire(&keeper.id, || keeper.priority()).await;
        let issued = tokio::time::timeout(FETCH_TIMEOUT, issuer.issue(&keeper.id)).await;
        drop(slot);
        let issued = issued.unwrap_or_else(|_| Err(format!("no answer within {FETCH_TIMEOUT:?}")));
        let now = clock();
        match issued {
            Ok(certificate) if now >= certificate.not_after() => {
                let reason = "the authority issued an expired certificate".to_owned();
                failed(&keeper, &recorder, now, reason);
                pause(&keeper, &mut retry, &clock).await;
            }
            Ok(certificate) => {
                let due = certificate.refresh_at();
                take(&keeper, &recorder, certificate);
                if due <= now {
                    // Past its half at birth: clocks differ, or the authority backdates.
                    pause(&keeper, &mut retry, &clock).await;
                } else {
                    retry.reset();
                    sleep_until(due, &clock).await;
                }
            }
            Err(reason) => {
                failed(&keeper, &recorder, now, reason);
                pause(&keeper, &mut retry, &clock).await;
            }
        }
    }
}

fn take(keeper: &Keeper, recorder: &Recorder, certificate: WorkloadCertificate) {
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let life = until.duration_since(from).unwrap_or_default();
    info!(id = %keeper.id, ?life, "certificate issued");
    let text = format!("certificate issued for {} s", life.as_secs());
    recorder.event("certificate", "info", keeper.id.to_string(), text);
    keeper.certificate.store(Some(Arc::new(certificate)));
    keeper.urgent.store(Priority::Background as u8, Ordering::Relaxed);
    keeper.state.send_replace(State::Available);
}

fn failed(keeper: &Keeper, recorder: &Recorder, now: SystemTime, reason: String) {
    if keeper.valid(now).is_some() {
        warn!(id = %keeper.id, error = %reason, "certificate not renewed, the old one stays in force");
        let text = format!("certificate not renewed: {reason}");
        recorder.event("certificate", "warning", keeper.id.to_string(), text);
    } else {
        warn!(id = %keeper.id, error = %reason, "no certificate");
        recorder.event("certificate", "error", keeper.id.to_string(), format!("none: {reason}"));
        keeper.raise(Priority::Warmup);
        keeper.state.send_replace(State::Unavailable(reason));
    }
}

/// Waits for the next attempt; ends early when the certificate held has expired meanwhile.
async fn pause(keeper: &Keeper, retry: &mut Retry, clock: &Clock) {
    let now = clock();
    let left = keeper.valid(now).and_then(|held| held.not_after().duration_since(now).ok());
    let until = Instant::now() + retry.next(left, rand::random());
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || (left.is_some() && keeper.valid(clock()).is_none()) {
            return;
        }
        sleep(rest.min(LOOK)).await;
    }
}

async fn sleep_until(due: SystemTime, clock: &Clock) {
    while let Ok(rest) = due.duration_since(clock()) {
        if rest.is_zero() {
            return;
        }
        sleep(rest.min(LOOK)).await;
    }
}
