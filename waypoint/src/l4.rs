//! Connections that carry no HTTP: policy, then bytes both ways.

use std::sync::Arc;

use bytes::BytesMut;
use hbone::tunnel::Tunnel;
use tracing::{info, warn};

use crate::authorize::{self, Permit, Revoked};
use crate::detect::Rewound;
use crate::directory::Target;
use crate::directory::balance::{self, Endpoint};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::inbound::Inbound;
use crate::record::connection_labels;
use crate::standing::Standing;
use crate::upstream::connect::Io;
use crate::upstream::forward::MAX_ENDPOINTS_TRIED;

/// Passes a connection on, of which `first` was read already, until it ends or a policy turns
/// against it.
pub async fn pass(engine: &Engine, inbound: &Arc<Inbound>, tunnel: Tunnel, first: BytesMut) {
    let config = engine.state.world().config;
    let opened = match authorize::connection(&config, inbound) {
        Ok(permit) => open(engine, inbound, &permit).await,
        Err(failure) => Err(failure),
    };
    let (endpoint, mut application) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            engine.metrics.opened(&connection_labels(inbound, None, failure.flag()));
            engine.metrics.closed(&connection_labels(inbound, None, failure.flag()), 0, 0);
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
    let mut client = Rewound::new(first, tunnel);
    let (state, generation) = (Arc::clone(&engine.state), config.policy_generation);
    let mut standing = Standing::new(state, Arc::clone(inbound), None, generation);
    let copied = tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut client, &mut application) => Ok(copied),
        revoked = standing.revoked() => Err(revoked),
    };
    let (received, sent) =
        copied.as_ref().ok().and_then(|c| c.as_ref().ok().copied()).unwrap_or_default();
    engine.metrics.closed(&labels, received, sent);
    let reason = match &copied {
        Err(_) => "policy changed",
        Ok(Ok(_)) => "finished",
        Ok(Err(_)) => "broken",
    };
    let policy = match &copied {
        Err(Revoked::Denied(policy)) => Some(policy.to_string()),
        Err(Revoked::NotAllowed) | Ok(_) => None,
    };
    info!(
        target: "access", reason, policy, bytes_received = received, bytes_sent = sent,
        src.identity = %inbound.peer, src.addr = %inbound.client,
        dst.addr = %inbound.target.address(), upstream_host = %endpoint.address,
        "connection complete"
    );
}

async fn open(
    engine: &Engine,
    inbound: &Inbound,
    permit: &Permit,
) -> Result<(Endpoint, Box<dyn Io>), Failure> {
    let (world, own) = (engine.state.world(), engine.state.own(engine.own_ip));
    let mut tried = Vec::new();
    loop {
        let endpoint = match &inbound.target {
            Target::Workload { workload, address, .. } => Endpoint::direct(workload, *address),
            Target::Service { service, address } => {
                let port = address.port();
                let random = rand::random();
                let chosen = balance::choose(
                    &world.directory,
                    service,
                    port,
                    own.as_deref(),
                    &tried,
                    random,
                );
                chosen
                    .ok_or_else(|| Failure::NoEndpoint { service: service.key.to_string(), port })?
            }
        };
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
