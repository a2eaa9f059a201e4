//! Which replica writes: a Lease of `coordination.k8s.io`, as the components of Kubernetes use
//! it themselves.
//!
//! Clocks of two machines are never compared. A replica that waits counts from when it last saw
//! the Lease change, by its own clock; the one that leads counts from before its last renewal,
//! and gives up [`DEADLINE`] after it, which is well before anybody else may begin.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Name of the Lease in the system namespace.
pub const LEASE: &str = "ambit-control";
/// How long a Lease that does not change any more keeps others from leading.
pub const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long leads no more.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Between two tries.
pub const RETRY: Duration = Duration::from_secs(2);

/// A replica that wants to lead.
pub struct Candidate {
    leases: Api<Lease>,
    election: Election,
}

/// What is known of the Lease. Pure.
#[derive(Debug)]
struct Election {
    identity: String,
    /// The version of the Lease that was last seen, and when it was first seen.
    seen: Option<(String, Instant)>,
}

/// What is to be done with the Lease.
#[derive(Debug, PartialEq)]
enum Step {
    /// Another replica leads.
    Wait,
    /// Write this.
    Write(LeaseSpec),
}

impl Election {
    fn new(identity: String) -> Self {
        Self { identity, seen: None }
    }

    /// What to do with a Lease that was read at `now`.
    fn step(&mut self, version: &str, spec: &LeaseSpec, now: Instant, time: Timestamp) -> Step {
        let since = match &self.seen {
            Some((seen, since)) if seen == version => *since,
            _ => {
                self.seen = Some((version.to_owned(), now));
                now
            }
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            return Step::Write(LeaseSpec { renew_time: Some(MicroTime(time)), ..spec.clone() });
        }
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let held = u64::try_from(seconds).map_or(DURATION, Duration::from_secs);
        if !holder.is_empty() && now.duration_since(since) < held {
            return Step::Wait;
        }
        let transitions = spec.lease_transitions.unwrap_or_default().saturating_add(1);
        Step::Write(LeaseSpec { lease_transitions: Some(transitions), ..self.first(time) })
    }

    /// A Lease that nobody held before.
    fn first(&self, time: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(MicroTime(time)),
            renew_time: Some(MicroTime(time)),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        }
    }
}

impl Candidate {
    /// One that writes the Lease of `namespace` as `name`, made unique for this process: one
    /// that was killed and is back did not lead meanwhile.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let identity = format!("{name}_{:016x}", rand::random::<u64>());
        Self { leases: Api::namespaced(client, namespace), election: Election::new(identity) }
    }

    /// Tells `leading` whether this replica leads, until `stop`; then the Lease is given up, so
    /// that another need not wait.
    pub async fn run(mut self, leading: watch::Sender<bool>, stop: CancellationToken) {
        let mut renewed = Instant::now();
        loop {
            let began = Instant::now();
            let leads = *leading.borrow();
            let patience =
                if leads { DEADLINE.saturating_sub(renewed.elapsed()) } else { DEADLINE };
            let tried = tokio::select! {
                tried = timeout(patience, self.try_once()) => tried,
                () = stop.cancelled() => break,
            };
            let holds = match tried {
                Ok(Ok(true)) => {
                    renewed = began;
                    true
                }
                Ok(Ok(false)) => false,
                Ok(Err(error)) => {
                    warn!(%error, lease = LEASE, "the lease could not be read or written");
                    leads && renewed.elapsed() < DEADLINE
                }
                Err(_) => {
                    warn!(lease = LEASE, "no answer about the lease");
                    false
                }
            };
            if leads != holds {
                info!(leads = holds, identity = self.election.identity, "leadership");
                leading.send_replace(holds);
            }
            let left = DEADLINE.saturating_sub(renewed.elapsed());
            let pause = RETRY.mul_f64(rand::random_range(0.9..1.1));
            tokio::select! {
                () = sleep(if holds { pause.min(left) } else { pause }) => {}
                () = stop.cancelled() => break,
            }
        }
        if leading.send_replace(false) {
            self.give_up().await;
        }
    }

    /// Whether this replica leads after it.
    async fn try_once(&mut self) -> kube::Result<bool> {
        let now = Timestamp::now();
        let Some(lease) = self.leases.get_opt(LEASE).await? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let spec = Some(self.election.first(now));
            let made = self.leases.create(&PostParams::default(), &Lease { metadata, spec }).await;
            return lost_race(made.map(drop));
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let spec = lease.spec.clone().unwrap_or_default();
        match self.election.step(&version, &spec, Instant::now(), now) {
            Step::Wait => Ok(false),
            // With the version that was read: of two that take it, one fails.
            Step::Write(spec) => self.write(lease.metadata, spec).await,
        }
    }

    async fn write(&self, metadata: ObjectMeta, spec: LeaseSpec) -> kube::Result<bool> {
        let lease = Lease { metadata, spec: Some(spec) };
        lost_race(self.leases.replace(LEASE, &PostParams::default(), &lease).await.map(drop))
    }

    async fn give_up(&self) {
        let given_up = timeout(RETRY, async {
            let Some(lease) = self.leases.get_opt(LEASE).await? else { return Ok(false) };
            let spec = lease.spec.unwrap_or_default();
            if spec.holder_identity.as_ref() != Some(&self.election.identity) {
                return Ok(false);
            }
            self.write(lease.metadata, LeaseSpec { holder_identity: None, ..spec }).await
        });
        match given_up.await {
            Ok(Ok(true)) => info!(lease = LEASE, "leadership given up"),
            Ok(Ok(false)) => debug!(lease = LEASE, "the lease is another's already"),
            Ok(Err(error)) => warn!(%error, lease = LEASE, "the lease was not given up"),
            Err(_) => warn!(lease = LEASE, "no answer; the lease was not given up"),
        }
    }
}

/// Whether a write won: one that came too late is no error.
fn lost_race(written: kube::Result<()>) -> kube::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs what `work` makes for as long as this replica leads, again and again. What runs is
/// dropped, and with it what it is about to write, as soon as it leads no more. Returns when
/// nobody tells any more.
pub async fn while_leading<W: Future<Output = ()>>(
    mut leading: watch::Receiver<bool>,
    work: impl Fn() -> W,
) {
    while leading.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            () = work() => return,
            _ = leading.wait_for(|leads| !*leads) => {}
        }
    }
}

#[cfg(test)]
mod tests;
