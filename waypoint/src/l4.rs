//! Connections that carry no HTTP: policy, then bytes both ways.

use std::sync::Arc;

use bytes::BytesMut;
use hbone::relay::{self, Ended, Meter};
use hbone::tunnel::Tunnel;
use hbone::wire::workload::Mode;
use observe::recorder::Flow;
use tracing::{info, warn};

use crate::authorize::{self, Permit, Permitted, Revoked};
use crate::directory::Target;
use crate::directory::balance::{self, Chosen, Endpoint};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::inbound::Inbound;
use crate::record::{connection_labels, remembered};
use crate::standing::Standing;
use crate::upstream::forward::MAX_ENDPOINTS_TRIED;
use crate::upstream::resolve::settle;
use crate::upstream::stream::Stream;

/// Bytes from and to the client.
struct Carried<'a>(&'a Flow);

impl Meter for Carried<'_> {
    fn forward(&self, n: u64) {
        self.0.sent(n);
    }

    fn back(&self, n: u64) {
        self.0.received(n);
    }
}

/// For a relay whose first end is the application's.
struct Mirrored<'a>(&'a Carried<'a>);

impl Meter for Mirrored<'_> {
    fn forward(&self, n: u64) {
        self.0.back(n);
    }

    fn back(&self, n: u64) {
        self.0.forward(n);
    }
}

/// Passes a connection on, of which `first` was read already, until it ends or a policy turns
/// against it.
pub async fn pass(engine: &Engine, inbound: &Arc<Inbound>, mut tunnel: Tunnel, first: BytesMut) {
    let config = engine.state.world().config;
    let opened = match authorize::connection(&config, inbound) {
        Ok(permit) => open(engine, inbound, &permit).await,
        Err(failure) => Err(failure),
    };
    let (endpoint, application) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            engine.metrics.opened(&connection_labels(inbound, None, failure.flag()));
            engine.metrics.closed(&connection_labels(inbound, None, failure.flag()), 0, 0);
            let recorder = engine.metrics.recorder();
            let key = remembered::key(recorder.origin(), inbound, None);
            let flow = recorder.open(key, remembered::ends(inbound, None));
            recorder.close(&flow, Some(remembered::failure(&failure)));
            warn!(
                target: "access", reason = failure.reason(), error = %failure,
                src.identity = %inbound.peer, src.addr = %inbound.client,
                dst.addr = %inbound.target.address(),
                "connection refused"
            );
            return;
        }
    };
    let labels = connection_labels(inbound, Some(&endpoint), "-");
    engine.metrics.opened(&labels);
    tunnel.unread(first.freeze());
    let (state, generation) = (Arc::clone(&engine.state), config.policy_generation);
    let mut standing = Standing::new(state, Arc::clone(inbound), Permitted::Bytes, generation);
    let mut revoked = None;
    let recorder = engine.metrics.recorder();
    let served = endpoint.workload.as_deref();
    let key = remembered::key(recorder.origin(), inbound, served);
    let flow = recorder.open(key, remembered::ends(inbound, served));
    let carried = Carried(&flow);
    let turned = async { revoked = Some(standing.revoked().await) };
    let ended = match application {
        Stream::Tunnel(far) => relay::tunnels(tunnel, far, &carried, turned).await,
        Stream::Plain(far) => relay::tunnel(far, tunnel, &Mirrored(&carried), turned).await,
    };
    let (received, sent) = flow.bytes();
    engine.metrics.closed(&labels, received, sent);
    let cut = revoked.clone().map(Failure::from);
    recorder.close(&flow, cut.as_ref().map(remembered::failure));
    let reason = match &ended {
        Ok(Ended::Finished | Ended::Unwanted) => "finished",
        Ok(Ended::Stopped) => "policy changed",
        Err(_) => "broken",
    };
    let error = ended.err().map(|error| error.to_string());
    let policy = match &revoked {
        Some(Revoked::Denied(policy) | Revoked::Unasked(policy) | Revoked::Unreadable(policy)) => {
            Some(policy.to_string())
        }
        Some(Revoked::NotAllowed) | None => None,
    };
    info!(
        target: "access", reason, error, policy, bytes_received = received, bytes_sent = sent,
        src.identity = %inbound.peer, src.addr = %inbound.client,
        dst.addr = %inbound.target.address(), upstream_host = %endpoint.address,
        "connection complete"
    );
}

async fn open(
    engine: &Engine,
    inbound: &Inbound,
    permit: &Permit,
) -> Result<(Endpoint, Stream), Failure> {
    let (world, own) = (engine.state.world(), engine.state.own(engine.own_ip));
    let mut tried = Vec::new();
    loop {
        let random = rand::random();
        let chosen = match &inbound.target {
            Target::Workload { workload, address, .. } => {
                Chosen::Endpoint(Endpoint::direct(workload, *address))
            }
            Target::Service { service, address } => {
                let port = address.port();
                let (directory, own) = (&world.directory, own.as_deref());
                let chosen = if service.load_balancing.mode == Mode::Passthrough {
                    let dialled = Endpoint::dialled(service, &inbound.target);
                    dialled.filter(|e| !tried.contains(&e.address)).map(Chosen::Endpoint)
                } else {
                    balance::choose(directory, service, port, own, &tried, random)
                };
                chosen
                    .ok_or_else(|| Failure::NoEndpoint { service: service.key.to_string(), port })?
            }
        };
        let (resolver, source) = (engine.forwarder.resolver(), &inbound.account.name);
        let endpoint = settle(resolver, chosen, None, source, &tried, random).await?;
        match engine.forwarder.connections().connector().connect(&endpoint, permit).await {
            Ok(stream) => return Ok((endpoint, stream)),
            Err(failure) if failure.retry_safe() && tried.len() + 1 < MAX_ENDPOINTS_TRIED => {
                tried.push(endpoint.address);
                if matches!(inbound.target, Target::Workload { .. }) {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
}
