//! Port 15001: what the pod's programs dial (docs/wire.md, "Outbound").

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hbone::relay;
use hbone::tunnel::{self, OpenRequest, headers};
use hbone::wire::workload::{Service, Workload, WorkloadKind};
use http::HeaderMap;
use tokio::net::TcpStream;

use super::application::connect;
use super::failure::{Failure, outcome_of};
use super::listener::{Taken, refuse};
use super::pod::Pod;
use crate::decide::{Outbound, Plain, Refusal, Request, Resolve, Tunnel, outbound};
use crate::record::{Direction, Facts, Record, early_failure};
use crate::sockets::{Peer, original_destination};

/// Endpoints that one connection tries before it fails: no byte of the application has been
/// sent, so another may be tried.
const MAX_ATTEMPTS: usize = 3;

/// Where a connection went.
enum Way {
    Tunnel(tunnel::Tunnel),
    Plain(TcpStream),
}

pub(super) async fn serve(pod: Arc<Pod>, taken: Taken) {
    let Taken { stream, peer, place: _place } = taken;
    let dialled = match original_destination(&stream) {
        Ok(address) => address,
        Err(error) => return early_failure(Direction::Outbound, Some(peer), None, &error),
    };
    let Some(source) = pod.workload().await else {
        refuse(&stream);
        let error = Refusal::UnknownSource;
        return early_failure(Direction::Outbound, Some(peer), Some(dialled), &error);
    };
    let call = Call { pod: &pod, source: &source, peer, dialled };
    // Much larger than the relay that follows, and over when that begins.
    match Box::pin(call.find_way()).await {
        Ok((facts, way)) => call.relay(stream, facts, way).await,
        Err((facts, failure)) => {
            refuse(&stream);
            let metrics = &pod.shared.metrics;
            Record::open(metrics, facts).close(&failure.outcome());
        }
    }
}

struct Call<'a> {
    pod: &'a Arc<Pod>,
    source: &'a Arc<Workload>,
    peer: SocketAddr,
    dialled: SocketAddr,
}

impl Call<'_> {
    /// Opens the way that the decision names; another endpoint's if one does not answer.
    async fn find_way(&self) -> Result<(Box<Facts>, Way), (Box<Facts>, Failure)> {
        let mut tried: Vec<Arc<str>> = Vec::new();
        let mut last: Option<(Box<Facts>, Failure)> = None;
        loop {
            let (decided, service) = self.decide(&tried).await;
            let (next, way) = match decided {
                Outbound::Hbone(to) | Outbound::Waypoint(to) => {
                    (Some(Arc::clone(&to.workload.uid)), self.open(to).await)
                }
                Outbound::Plain(to) => {
                    (to.workload.as_ref().map(|w| Arc::clone(&w.uid)), self.plain(to).await)
                }
                Outbound::Refuse(refusal) => {
                    // That there is no other endpoint hides why the first one failed.
                    return Err(last.unwrap_or_else(|| {
                        let mut facts = self.facts();
                        facts.dst_service = service;
                        (facts, refusal.into())
                    }));
                }
                // Whoever resolves goes on, or refuses.
                Outbound::Resolve(resolve) => {
                    let refusal = Refusal::NoAddress(Arc::clone(&resolve.workload().uid));
                    return Err((self.facts(), refusal.into()));
                }
            };
            let (facts, failure) = match way {
                Ok(found) => return Ok(found),
                Err(failed) => *failed,
            };
            match next {
                Some(uid) if may_retry(&failure) && tried.len() + 1 < MAX_ATTEMPTS => {
                    tracing::debug!(
                        pod = %self.pod.name,
                        endpoint = %uid,
                        error = %failure.chain(),
                        "endpoint failed; trying another"
                    );
                    tried.push(uid);
                    last = Some((facts, failure));
                }
                _ => return Err((facts, failure)),
            }
        }
    }

    /// Where the connection goes; the service too, where a name had to be resolved for it.
    async fn decide(&self, tried: &[Arc<str>]) -> (Outbound, Option<Arc<Service>>) {
        let request = Request {
            source: self.source,
            source_ip: self.peer.ip(),
            destination: self.dialled,
            tried,
            own_ports: self.pod.shared.own_ports,
        };
        let snapshot = self.pod.shared.state.snapshot();
        let decided = outbound(&snapshot, &request, &mut rand::rng());
        // Not held while a name is resolved.
        drop(snapshot);
        match decided {
            Outbound::Resolve(resolve) => {
                let service = resolve.service().cloned();
                (self.resolved(*resolve).await, service)
            }
            other => (other, None),
        }
    }

    /// Goes on with an address of a workload's host name.
    async fn resolved(&self, resolve: Resolve) -> Outbound {
        let resolver = &self.pod.shared.resolver;
        match resolver.lookup(resolve.hostname(), &self.pod.name).await {
            Ok(addresses) => resolve.answered(&addresses, &mut rand::rng()),
            Err(why) => resolve.failed(why),
        }
    }

    /// A tunnel to an endpoint or a waypoint.
    async fn open(&self, to: Tunnel) -> Result<(Box<Facts>, Way), Box<(Box<Facts>, Failure)>> {
        let mut facts = self.facts();
        facts.dst_addr = to.target;
        facts.hbone_addr = Some(to.authority.to_string());
        facts.dst_service.clone_from(&to.service);
        facts.dst_workload = Some(Arc::clone(&to.workload));
        let failed = |facts, failure| Box::new((facts, failure));
        let Some(identity) = Pod::identity(self.source) else {
            let who = Arc::clone(&self.source.name);
            return Err(failed(facts, Refusal::NoIdentity(who).into()));
        };
        let certificate = match self.pod.shared.certificates.get(identity).await {
            Ok(certificate) => certificate,
            Err(error) => return Err(failed(facts, Failure::Certificate(error))),
        };
        facts.mutual_tls = true;
        facts.src_identity = Some(identity.clone());
        facts.dst_identity.clone_from(&to.workload.identity);
        let request = OpenRequest {
            certificate,
            expected: to.expected,
            peer: to.target,
            authority: to.authority.to_string(),
            headers: self.headers(to.service.as_deref()),
        };
        match self.pod.pool.open(&request).await {
            Ok(tunnel) => Ok((facts, Way::Tunnel(tunnel))),
            Err(error) => Err(failed(facts, error.into())),
        }
    }

    /// A plain connection to what does not speak HBONE.
    async fn plain(&self, to: Plain) -> Result<(Box<Facts>, Way), Box<(Box<Facts>, Failure)>> {
        let mut facts = self.facts();
        facts.dst_addr = to.target;
        facts.dst_service = to.service;
        facts.dst_workload = to.workload;
        match connect(self.pod, to.target, None, Peer::Remote).await {
            Ok(stream) => Ok((facts, Way::Plain(stream))),
            Err(failure) => Err(Box::new((facts, failure))),
        }
    }

    async fn relay(&self, stream: TcpStream, facts: Box<Facts>, way: Way) {
        let pod = self.pod;
        let _listed = pod.live.add(&facts, self.dialled);
        let record = Record::open(&pod.shared.metrics, facts);
        let meter = record.from_client();
        let killed = pin!(pod.killed());
        let ended = match way {
            Way::Tunnel(tunnel) => relay::tunnel(stream, tunnel, &meter, killed).await,
            Way::Plain(far) => relay::tcp(stream, far, &meter, killed).await,
        };
        drop(meter);
        record.close(&outcome_of(ended, None));
    }

    fn facts(&self) -> Box<Facts> {
        Box::new(Facts {
            direction: Direction::Outbound,
            src_addr: self.peer,
            src_workload: Some(Arc::clone(self.source)),
            src_baggage: None,
            src_identity: None,
            dst_addr: self.dialled,
            hbone_addr: None,
            dst_service: None,
            dst_workload: None,
            dst_identity: None,
            mutual_tls: false,
            policy: None,
        })
    }

    fn headers(&self, service: Option<&Service>) -> HeaderMap {
        let mut map = HeaderMap::new();
        if let Some(value) = baggage_of(self.source).to_value() {
            map.insert(headers::BAGGAGE, value);
        }
        let host = service.map(|s| &*s.key.hostname);
        if let Some(value) = headers::forwarded(self.peer, host) {
            map.insert(headers::FORWARDED, value);
        }
        map.insert(headers::TRACEPARENT, headers::new_traceparent(&mut rand::rng()));
        map
    }
}

/// Whether another endpoint may do better.
fn may_retry(failure: &Failure) -> bool {
    match failure {
        Failure::Tunnel(error) => error.retry_elsewhere(),
        Failure::Connect { .. } | Failure::ConnectTimeout { .. } => true,
        Failure::Refusal(_)
        | Failure::Denied(_)
        | Failure::Revoked(_)
        | Failure::Certificate(_)
        | Failure::Handshakes(_)
        | Failure::Relay(_) => false,
    }
}

/// What a CONNECT or its answer says of a workload.
pub(super) fn baggage_of(workload: &Workload) -> headers::Baggage {
    let workload_type = match workload.kind {
        WorkloadKind::Deployment => headers::WorkloadKey::Deployment,
        WorkloadKind::CronJob => headers::WorkloadKey::CronJob,
        WorkloadKind::Pod => headers::WorkloadKey::Pod,
        WorkloadKind::Job => headers::WorkloadKey::Job,
    };
    headers::Baggage {
        cluster: workload.cluster.to_string(),
        namespace: workload.namespace.to_string(),
        workload: workload.workload_name.to_string(),
        workload_type,
        service: workload.canonical_name.to_string(),
        revision: workload.canonical_revision.to_string(),
        region: workload.locality.region.to_string(),
        zone: workload.locality.zone.to_string(),
    }
}
