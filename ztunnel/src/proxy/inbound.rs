//! Port 15008: tunnels from other proxies (docs/wire.md, "Inbound").

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hbone::identity::SpiffeId;
use hbone::matching::Caller;
use hbone::relay;
use hbone::tunnel::{
    HBONE_PORT, Incoming, TunnelError, accept_tls, headers, serve as serve_tunnels,
};
use hbone::wire::workload::Workload;
use http::{HeaderMap, StatusCode};

use super::application::dial;
use super::failure::{Failure, outcome_of};
use super::listener::Taken;
use super::outbound::baggage_of;
use super::pod::Pod;
use super::watch::Stop;
use crate::decide::{Connect, Inbound, Permit, Refused, inbound, rehearse, served_service};
use crate::record::{Direction, Facts, Limit, Record, early_failure};
use crate::sockets::canonical;

/// A connection whose client has proved who it is.
pub(super) struct Peer {
    pod: Arc<Pod>,
    identity: SpiffeId,
    address: SocketAddr,
    /// Our end.
    local: SocketAddr,
}

pub(super) async fn serve(pod: Arc<Pod>, taken: Taken) {
    let peer = taken.peer;
    let accepted = Box::pin(handshake(&pod, taken)).await;
    let (peer, stream, _place) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            return early_failure(Direction::Inbound, Some(peer), None, &error.chain());
        }
    };
    let peer = Arc::new(peer);
    let config = &pod.shared.config.tunnel;
    let handle = |incoming| {
        let peer = Arc::clone(&peer);
        async move { tunnel(&peer, incoming).await }
    };
    let served = serve_tunnels(stream, peer.address, config, pod.drain(), handle);
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::debug!(pod = %pod.name, peer = %peer.address, error = %error.chain(),
                "tunnel connection ended");
        },
        () = pod.killed() => {}
    }
}

type Stream = tokio_rustls::server::TlsStream<hbone::tunnel::ReadAhead<tokio::net::TcpStream>>;

/// Mutual TLS with the pod's own certificate. How many of these a pod has under way is
/// bounded: the others wait.
async fn handshake(
    pod: &Arc<Pod>,
    taken: Taken,
) -> Result<(Peer, Stream, super::listener::Place), Failure> {
    let Taken { stream, peer: address, place } = taken;
    let reached = |limit| {
        pod.reached(limit, || match limit {
            Limit::SourceHandshakes => format!(
                "connections of {} are reset: so many of its handshakes are under way \
                 (AMBIT_SOURCE_MAX_HANDSHAKES)",
                address.ip()
            ),
            _ => "handshakes wait: too many are under way (AMBIT_POD_MAX_HANDSHAKES)".to_owned(),
        });
    };
    let _turn = pod.handshakes.turn(address.ip(), reached).await?;
    let workload = pod.workload().await.ok_or(crate::decide::Refusal::UnknownSource)?;
    let identity = Pod::identity(&workload)
        .ok_or_else(|| crate::decide::Refusal::NoIdentity(Arc::clone(&workload.name)))?;
    let certificate = pod.shared.certificates.get(identity).await.map_err(Failure::Certificate)?;
    let local = stream.local_addr();
    let local = local.map_err(|source| TunnelError::Connect { peer: address, source })?;
    let tls = certificate.server_config().map_err(TunnelError::from)?;
    let accepted = accept_tls(stream, address, tls, &pod.shared.config.tunnel).await;
    pod.shared.metrics.recorder().handshake(accepted.is_ok());
    let accepted = accepted?;
    let (pod, local) = (Arc::clone(pod), canonical(local));
    Ok((Peer { pod, identity: accepted.peer, address, local }, accepted.stream, place))
}

/// One CONNECT: in order, allowed, dialled, answered, relayed.
pub(super) async fn tunnel(peer: &Peer, incoming: Incoming) {
    // A tunnel costs the pod as much as a connection of its own does.
    let Ok(_place) = Arc::clone(&peer.pod.connections).try_acquire_owned() else {
        peer.pod.limit_reached();
        return incoming.refuse(StatusCode::SERVICE_UNAVAILABLE);
    };
    let opened = Box::pin(open(peer, incoming)).await;
    let Some((record, permit, app, tunnel)) = opened else { return };
    let pod = &peer.pod;
    let _listed = pod.live.add(record.facts(), permit.call().destination());
    let stop = Stop::default();
    let meter = record.from_server();
    let wanted = pin!(stop.wanted(pod, &permit));
    let ended = relay::tunnel(app, tunnel, &meter, wanted).await;
    drop(meter);
    record.close(&outcome_of(ended, stop.reason()));
}

type Opened = (Record, Permit, tokio::net::TcpStream, hbone::tunnel::Tunnel);

async fn open(peer: &Peer, incoming: Incoming) -> Option<Opened> {
    let pod = &peer.pod;
    let snapshot = pod.shared.state.snapshot();
    let workload = snapshot.pod(&pod.id).cloned();
    let connect = Connect {
        method: incoming.method(),
        authority: incoming.authority().filter(|_| incoming.is_plain_connect()),
        local: peer.local,
        own_ports: pod.shared.own_ports,
    };
    let wanted = match inbound(&snapshot, workload.as_ref(), &connect) {
        Ok(wanted) => wanted,
        Err(refused) => return refuse(peer, incoming, &refused),
    };
    if let Some(header) = wanted.proxy_header() {
        // Nothing of ours asks for it; a program that expects the header must not get bytes
        // without one.
        tracing::warn!(pod = %pod.name, %header, "PROXY header is not supported");
        incoming.refuse(StatusCode::SERVICE_UNAVAILABLE);
        return None;
    }
    let mut facts = facts(peer, &incoming, &wanted);
    let metrics = &pod.shared.metrics;
    let caller = Caller::authenticated(peer.identity.clone());
    let source = peer.address.ip();
    for rehearsed in rehearse(&snapshot, wanted.workload(), &wanted.call(caller.clone(), source)) {
        tracing::info!(policy = %rehearsed.policy, action = ?rehearsed.action,
            src.identity = %peer.identity, dst.workload = %wanted.workload().name,
            "dry-run policy matched");
    }
    let permit = match wanted.authorize(&snapshot, caller, source) {
        Ok(permit) => permit,
        Err(denied) => {
            incoming.refuse(StatusCode::UNAUTHORIZED);
            Record::open(metrics, facts).close(&Failure::from(denied).outcome());
            return None;
        }
    };
    facts.policy = permit.policy().cloned();
    let record = Record::open(metrics, facts);
    match dial(pod, &wanted, &permit, source).await {
        Ok(app) => accept(incoming, wanted.workload(), record, permit, app),
        Err(failure) => {
            incoming.refuse(StatusCode::SERVICE_UNAVAILABLE);
            record.close(&failure.outcome());
            None
        }
    }
}

fn accept(
    incoming: Incoming,
    workload: &Workload,
    record: Record,
    permit: Permit,
    app: tokio::net::TcpStream,
) -> Option<Opened> {
    let mut answer = HeaderMap::new();
    if let Some(value) = baggage_of(workload).to_value() {
        answer.insert(headers::BAGGAGE, value);
    }
    match incoming.accept(answer) {
        Ok(tunnel) => Some((record, permit, app, tunnel)),
        Err(error) => {
            record.close(&Failure::from(relay::RelayError::from(error)).outcome());
            None
        }
    }
}

fn refuse(peer: &Peer, incoming: Incoming, refused: &Refused) -> Option<Opened> {
    incoming.refuse(refused.status());
    let error = format!("{refused} (caller {})", peer.identity);
    early_failure(Direction::Inbound, Some(peer.address), Some(peer.local), &error);
    None
}

fn facts(peer: &Peer, incoming: &Incoming, wanted: &Inbound) -> Box<Facts> {
    let shared = &peer.pod.shared;
    let snapshot = shared.state.snapshot();
    let workload = wanted.workload();
    let map = incoming.headers();
    // A connection from another network comes from a gateway: its address says nothing.
    let network = map.get(headers::X_FORWARDED_NETWORK).and_then(|v| v.to_str().ok());
    let own_network = &shared.config.place.network;
    let elsewhere = network.is_some_and(|n| !n.eq_ignore_ascii_case(own_network));
    let found = (!elsewhere).then(|| snapshot.workload_at(&snapshot.here(peer.address.ip())));
    let src_workload = found.flatten().cloned();
    let service = wanted.service().cloned().or_else(|| {
        let host = headers::forwarded_host(map);
        let port = wanted.destination().port();
        served_service(&snapshot, workload, host, port).cloned()
    });
    Box::new(Facts {
        direction: Direction::Inbound,
        src_addr: peer.address,
        src_baggage: src_workload.is_none().then(|| Box::new(headers::Baggage::from_headers(map))),
        src_workload,
        src_identity: Some(peer.identity.clone()),
        dst_addr: SocketAddr::new(peer.local.ip(), HBONE_PORT),
        hbone_addr: incoming.authority().map(str::to_owned),
        dst_service: service,
        dst_identity: workload.identity.clone(),
        dst_workload: Some(Arc::clone(workload)),
        mutual_tls: true,
        policy: None,
    })
}
