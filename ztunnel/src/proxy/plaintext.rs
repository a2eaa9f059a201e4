//! Port 15006: connections from outside of the mesh (docs/wire.md, "Plaintext inbound").

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hbone::matching::Caller;
use hbone::relay;
use hbone::wire::workload::Workload;

use super::application::dial;
use super::failure::{Failure, outcome_of};
use super::listener::{Taken, refuse};
use super::pod::Pod;
use super::watch::Stop;
use crate::decide::{plaintext, served_service};
use crate::record::{Direction, Facts, Record, early_failure};
use crate::sockets::original_destination;
use crate::state::Snapshot;

pub(super) async fn serve(pod: Arc<Pod>, taken: Taken) {
    let Taken { stream, peer, place: _place } = taken;
    let early = |dialled, error: &(dyn std::fmt::Display + Sync)| {
        refuse(&stream);
        early_failure(Direction::Inbound, Some(peer), dialled, error);
    };
    let dialled = match original_destination(&stream) {
        Ok(address) => address,
        Err(error) => return early(None, &error),
    };
    let workload = pod.workload().await;
    let wanted = match plaintext(workload.as_ref(), dialled, pod.shared.own_ports) {
        Ok(wanted) => wanted,
        Err(refused) => return early(Some(dialled), &refused),
    };
    let snapshot = pod.shared.state.snapshot();
    let mut facts = facts(&snapshot, wanted.workload(), peer, dialled);
    let metrics = &pod.shared.metrics;
    let permit = match wanted.authorize(&snapshot, Caller::anonymous(), peer.ip()) {
        Ok(permit) => permit,
        Err(denied) => {
            refuse(&stream);
            return Record::open(metrics, facts).close(&Failure::from(denied).outcome());
        }
    };
    facts.policy = permit.policy().cloned();
    let record = Record::open(metrics, facts);
    let app = match Box::pin(dial(&pod, &wanted, &permit, peer.ip())).await {
        Ok(app) => app,
        Err(failure) => {
            refuse(&stream);
            return record.close(&failure.outcome());
        }
    };
    let _listed = pod.live.add(record.facts(), dialled);
    let stop = Stop::default();
    let meter = record.from_client();
    let wanted = pin!(stop.wanted(&pod, &permit));
    let ended = relay::tcp(stream, app, &meter, wanted).await;
    drop(meter);
    record.close(&outcome_of(ended, stop.reason()));
}

fn facts(
    snapshot: &Snapshot,
    workload: &Arc<Workload>,
    peer: SocketAddr,
    dialled: SocketAddr,
) -> Box<Facts> {
    Box::new(Facts {
        direction: Direction::Inbound,
        src_addr: peer,
        src_workload: snapshot.workload_at(&snapshot.here(peer.ip())).cloned(),
        src_baggage: None,
        src_identity: None,
        dst_addr: dialled,
        hbone_addr: None,
        dst_service: served_service(snapshot, workload, None, dialled.port()).cloned(),
        dst_workload: Some(Arc::clone(workload)),
        dst_identity: None,
        mutual_tls: false,
        policy: None,
    })
}
