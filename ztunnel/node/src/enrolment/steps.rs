//! The steps themselves; each can be repeated after it failed halfway.

use std::sync::Arc;
use std::time::Duration;

use hbone::netns::Netns;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::EnrolError;
use super::worker::{Order, Phase, Worker};
use crate::flows::{self, Flow};
use crate::handle::Place;
use crate::metrics::Event;
use crate::redirect::{self, Listing, Options, Redirection};
use crate::saved::{SavedPod, Stage};
use crate::source::{Report, State};
use crate::zds::Answer;

type Next = Result<Option<Duration>, EnrolError>;

impl Worker {
    /// Brings the pod into the mesh, in the order that suits it.
    pub(super) async fn enrol(&mut self, order: Order) -> Next {
        let place = self.place().await?;
        self.phase = Phase::Entering;
        self.save(Stage::Entering).await;
        self.let_probes_through().await?;
        let options = self.options();
        let netns = place.netns;
        let rules = match order {
            Order::RulesFirst => {
                self.older.clear();
                let rules = self.redirect(&netns, &options).await?;
                self.context.zds.add(&self.pod, netns).await?;
                rules
            }
            Order::ListenersFirst => {
                self.context.zds.add(&self.pod, netns.clone()).await?;
                self.older = flows::older(&read_flows(&netns).await?);
                self.redirect(&netns, &options).await?
            }
        };
        self.enter(options, rules).await;
        self.context.metrics.count(Event::enrolled);
        let older = self.older.len();
        info!(pod = self.pod.full_name(), pod.uid = %self.pod.uid, older, "pod enrolled");
        Ok(Some(self.context.timing.verify))
    }

    /// Goes on with a pod that a former agent enrolled: its rules are made current, and the
    /// proxy has it in its snapshot.
    pub(super) async fn resume(&mut self) -> Next {
        let place = self.place().await?;
        self.let_probes_through().await?;
        self.context.zds.announce(&self.pod, Some(place.netns.clone()));
        let options = self.options();
        let rules = self.redirect(&place.netns, &options).await?;
        self.enter(options, rules).await;
        info!(pod = self.pod.full_name(), pod.uid = %self.pod.uid, "pod found enrolled");
        Ok(Some(self.context.timing.verify))
    }

    /// Compares an enrolled pod with what should be there.
    pub(super) async fn verify(&mut self) -> Next {
        let Phase::Enrolled { options, rules } = &self.phase else { return Ok(None) };
        let place = self.place.clone().ok_or(EnrolError::NoNetns)?;
        // Its addresses may be known only now.
        self.let_probes_through().await?;
        let wanted = self.options();
        if wanted == *options {
            let full = Redirection::Full(wanted.clone());
            let restored = redirect::restore(&place.netns, &full, rules).await?;
            if let Some(rules) = restored {
                self.context.metrics.count(Event::restored);
                warn!(pod = self.pod.full_name(), "rules were missing and are restored");
                self.phase = Phase::Enrolled { options: wanted, rules };
            }
        } else {
            let rules = self.redirect(&place.netns, &wanted).await?;
            self.phase = Phase::Enrolled { options: wanted, rules };
        }
        flows::retain_open(&mut self.older, &read_flows(&place.netns).await?);
        let connected = *self.context.zds.connected().borrow() > 0;
        if connected && self.context.zds.answer(&self.pod.uid) != Some(Answer::Acked) {
            // It stays captured and enrolled: its connections are refused rather than let
            // through, and peers do not fall back to plaintext because a proxy restarts.
            if let Err(error) = self.context.zds.add(&self.pod, place.netns).await {
                warn!(pod = self.pod.full_name(), %error, "enrolled pod is not served");
            }
        }
        self.report(State::Enrolled, String::new());
        Ok(Some(self.context.timing.verify))
    }

    /// Begins to take the pod out of the mesh: nothing new is redirected, and peers are told.
    pub(super) async fn withdraw(&mut self) -> Next {
        if let Some(place) = self.found().await {
            let rules = redirect::apply(&place.netns, &Redirection::Draining).await;
            rules.map(drop)?;
        }
        self.end_probes().await;
        self.report(State::NotEnrolled, String::new());
        let settled = Instant::now() + self.context.timing.settle;
        self.phase = Phase::Draining { settled, withdrawn: false };
        self.rechecks.reset();
        self.save(Stage::Draining).await;
        self.context.metrics.count(Event::withdrawn);
        info!(pod = self.pod.full_name(), "pod leaves the mesh");
        Ok(Some(self.context.timing.settle))
    }

    /// Goes on taking it out: the listeners, and when no carried connection is left the rest.
    pub(super) async fn drain(&mut self) -> Next {
        let Phase::Draining { settled, withdrawn } = &mut self.phase else { return Ok(None) };
        let wait = settled.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        if !*withdrawn {
            *withdrawn = true;
            self.context.zds.del(&self.pod.uid).await;
        }
        self.report(State::NotEnrolled, String::new());
        if let Some(place) = self.found().await {
            let carried = flows::carried(&read_flows(&place.netns).await?);
            if carried > 0 {
                debug!(pod = self.pod.full_name(), carried, "connections still carried");
                return Ok(Some(self.rechecks.delay()));
            }
            redirect::apply(&place.netns, &Redirection::None).await?;
        }
        self.phase = Phase::Out;
        self.older.clear();
        self.save(Stage::Known).await;
        info!(pod = self.pod.full_name(), "pod left the mesh");
        Ok(None)
    }

    /// The pod is gone: everything ends now, its connections too.
    pub(super) async fn leave(&mut self) {
        let uid = self.pod.uid.clone();
        if !matches!(self.phase, Phase::Out) {
            self.context.zds.del(&uid).await;
            self.end_probes().await;
            if let Some(place) = &self.place {
                let removed = redirect::apply(&place.netns, &Redirection::None).await;
                if let Err(error) = removed {
                    debug!(pod = self.pod.full_name(), %error, "rules of a gone pod remain");
                }
            }
            info!(pod = self.pod.full_name(), "enrolled pod is gone");
        }
        self.phase = Phase::Out;
        self.place = None;
        self.older.clear();
        self.context.unclaim(&uid);
        self.context.reports.forget(&uid);
        self.context.metrics.count(Event::removed);
        if let Err(error) = self.context.saved.remove(&uid).await {
            warn!(pod.uid = %uid, %error, "cannot forget a pod");
        }
    }

    pub(super) fn report_outside(&self) {
        self.report(State::NotEnrolled, String::new());
    }

    /// A failure on the way in leaves the pod pending; on the way out it is tried again, and
    /// the last report stands.
    pub(super) fn report_failure(&self, error: &EnrolError) {
        let text = crate::chain(error);
        match self.phase {
            Phase::Draining { .. } => {}
            Phase::Out | Phase::Entering | Phase::Resuming | Phase::Enrolled { .. } => {
                self.report(State::Pending, text.clone());
            }
        }
        self.context.metrics.count(Event::pending);
        warn!(pod = self.pod.full_name(), pod.uid = %self.pod.uid, reason = text, "pod not done");
    }

    pub(super) fn stage(&self) -> Stage {
        match self.phase {
            Phase::Out => Stage::Known,
            Phase::Entering => Stage::Entering,
            Phase::Resuming | Phase::Enrolled { .. } => Stage::Enrolled,
            Phase::Draining { .. } => Stage::Draining,
        }
    }

    /// Remembers the pod across a restart. If that fails the pod is served all the same: a
    /// restarted agent then finds it again through the source and `/proc`.
    pub(super) async fn save(&self, stage: Stage) {
        let Some(place) = &self.place else { return };
        let older = self.older.clone();
        let saved = SavedPod::new(self.pod.as_ref().clone(), stage, place, older);
        if let Err(error) = self.context.saved.put(saved).await {
            warn!(pod = self.pod.full_name(), %error, "cannot remember a pod");
        }
    }

    async fn enter(&mut self, options: Options, rules: Listing) {
        self.phase = Phase::Enrolled { options, rules };
        self.report(State::Enrolled, String::new());
        self.save(Stage::Enrolled).await;
    }

    async fn let_probes_through(&self) -> Result<(), EnrolError> {
        let included = self.context.probes.include(&self.pod.uid, &self.pod.ips).await;
        included.map_err(EnrolError::Probes)
    }

    /// What stays of it does no harm: a pod that is not captured is reached anyhow.
    async fn end_probes(&self) {
        if let Err(error) = self.context.probes.exclude(&self.pod.uid).await {
            warn!(pod = self.pod.full_name(), %error, "rule for probes remains");
        }
    }

    fn report(&self, state: State, reason: String) {
        let older_connections = self.older.len() as u64;
        let report = Report { state, reason, older_connections, ..Report::default() };
        self.context.reports.set(&self.pod.uid, report);
    }

    fn options(&self) -> Options {
        let (options, refused) = Options::of(&self.pod);
        if !refused.is_empty() {
            warn!(pod = self.pod.full_name(), ?refused, "interface names not taken");
        }
        options
    }

    async fn redirect(&self, netns: &Netns, options: &Options) -> Result<Listing, EnrolError> {
        Ok(redirect::apply(netns, &Redirection::Full(options.clone())).await?)
    }

    /// The pod's namespace, looked for if no CNI call named it.
    async fn place(&mut self) -> Result<Place, EnrolError> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let place = self.context.search(&self.pod).await?;
        self.context.claim(&self.pod.uid, &place.netns);
        self.place = Some(place.clone());
        Ok(place)
    }

    /// The same where its absence means that nothing is left to do.
    async fn found(&mut self) -> Option<Place> {
        self.place().await.ok()
    }
}

async fn read_flows(netns: &Arc<Netns>) -> Result<Vec<Flow>, EnrolError> {
    let netns = netns.clone();
    let read = tokio::task::spawn_blocking(move || flows::read(&netns)).await;
    let died = |error| EnrolError::Flows(std::io::Error::other(error));
    read.map_err(died)?.map_err(EnrolError::Flows)
}
