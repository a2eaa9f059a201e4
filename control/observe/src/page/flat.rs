//! Pages that are lists.

use serde::Serialize;

use crate::now_ms;
use crate::pb::{Answer, Certificate, Connection, Event, Incident};
use crate::source::Heard;

/// The answers that there are.
pub(super) fn borrowed(heard: &[Heard]) -> impl Iterator<Item = &Answer> {
    heard.iter().filter_map(|heard| heard.result.as_ref().ok())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificates {
    certificates: Vec<Certificate>,
    now_ms: i64,
}

pub(super) fn certificates(heard: &[Heard]) -> Certificates {
    let mut certificates: Vec<Certificate> = Vec::new();
    for heard in heard {
        let state = heard.result.as_ref().ok().and_then(|answer| answer.state.as_ref());
        for certificate in state.map(|state| &state.certificates).into_iter().flatten() {
            let (node, kind) = (heard.origin.node.clone(), heard.origin.kind.clone());
            certificates.push(Certificate { node, kind, ..certificate.clone() });
        }
    }
    certificates.sort_by(|a, b| {
        (a.not_after_ms, &a.identity, &a.node).cmp(&(b.not_after_ms, &b.identity, &b.node))
    });
    Certificates { certificates, now_ms: now_ms() }
}

#[derive(Debug, Serialize)]
pub(super) struct Incidents {
    incidents: Vec<Incident>,
    dropped: u64,
}

pub(super) fn incidents(heard: &[Heard], limit: usize) -> Incidents {
    let dropped = borrowed(heard).map(|answer| answer.dropped).sum();
    Incidents { incidents: newest_incidents(heard, limit), dropped }
}

pub(super) fn newest_incidents(heard: &[Heard], limit: usize) -> Vec<Incident> {
    let mut all: Vec<Incident> = borrowed(heard).flat_map(|a| a.incidents.clone()).collect();
    all.sort_by_key(|incident| std::cmp::Reverse(incident.at_ms));
    all.truncate(limit);
    all
}

#[derive(Debug, Serialize)]
pub(super) struct Events {
    events: Vec<Event>,
}

pub(super) fn events(heard: &[Heard], limit: usize) -> Events {
    Events { events: newest_events(heard, limit) }
}

pub(super) fn newest_events(heard: &[Heard], limit: usize) -> Vec<Event> {
    let mut all: Vec<Event> = borrowed(heard).flat_map(|a| a.events.clone()).collect();
    all.sort_by_key(|event| std::cmp::Reverse(event.at_ms));
    all.truncate(limit);
    all
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    connections: Vec<Connection>,
}

pub(super) fn connections(heard: &[Heard], limit: usize) -> Connections {
    Connections { connections: busiest(heard, limit) }
}

pub(super) fn busiest(heard: &[Heard], limit: usize) -> Vec<Connection> {
    let mut all: Vec<Connection> = borrowed(heard).flat_map(|a| a.connections.clone()).collect();
    all.sort_by_key(|c| std::cmp::Reverse((c.sent_rate + c.received_rate, c.sent_bytes)));
    all.truncate(limit);
    all
}
