//! What a filter lets through (`Filter` in observe.proto).

use crate::pb::{Connection, EdgeKey, Event, Filter, Incident, Party};

/// Whether `text` is meant; an empty pattern means all, `*` at its end any rest.
fn means(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern.is_empty() || pattern == text,
    }
}

/// Whether a service is meant, by its name or with its namespace, with or without the domain of
/// its host name.
fn means_service(pattern: &str, service: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let (namespace, host) = service.split_once('/').unwrap_or(("", service));
    let name = host.split('.').next().unwrap_or_default();
    match pattern.split_once('/') {
        Some((of, wanted)) => means(of, namespace) && (means(wanted, name) || means(wanted, host)),
        None => means(pattern, name) || means(pattern, host),
    }
}

fn either(key: &EdgeKey, meant: impl Fn(&Party) -> bool) -> bool {
    [&key.source, &key.destination].into_iter().flatten().any(meant)
}

/// Whether an edge that `node` counted is wanted.
pub(crate) fn edge(filter: &Filter, key: &EdgeKey, node: &str) -> bool {
    pods(filter, key, node, "", "")
}

fn pods(filter: &Filter, key: &EdgeKey, node: &str, source: &str, destination: &str) -> bool {
    let workload = |key: &EdgeKey| {
        filter.workload.is_empty()
            || either(key, |party| means(&filter.workload, &party.workload))
            || [source, destination].iter().any(|pod| means(&filter.workload, pod))
    };
    let of_namespace = |key: &EdgeKey| {
        let called = key.service.split_once('/').map_or("", |(namespace, _)| namespace);
        filter.namespace.is_empty()
            || either(key, |party| means(&filter.namespace, &party.namespace))
            || means(&filter.namespace, called)
    };
    let identity = |key: &EdgeKey| {
        filter.identity.is_empty() || either(key, |party| means(&filter.identity, &party.identity))
    };
    of_namespace(key)
        && workload(key)
        && identity(key)
        && (means_service(&filter.service, &key.service)
            || (!key.backend.is_empty() && means_service(&filter.service, &key.backend)))
        && means(&filter.policy, &key.policy)
        && means(&filter.node, node)
        && means(&filter.reporter, &key.reporter)
        && means(&filter.waypoint, &key.waypoint)
        && (!filter.failed || !key.failure.is_empty())
}

/// Whether an incident is wanted.
pub(crate) fn incident(filter: &Filter, incident: &Incident) -> bool {
    let key = incident.key.as_ref();
    let (source, destination) = (&incident.source_pod, &incident.destination_pod);
    key.is_some_and(|key| pods(filter, key, &incident.node, source, destination))
}

/// Whether an open connection is wanted.
pub(crate) fn connection(filter: &Filter, open: &Connection) -> bool {
    let key = open.key.as_ref();
    let (source, destination) = (&open.source_pod, &open.destination_pod);
    key.is_some_and(|key| pods(filter, key, &open.node, source, destination))
}

/// Whether an event is wanted: of what a filter can say, it has a node and a subject, and may be
/// no failure.
pub(crate) fn event(filter: &Filter, event: &Event) -> bool {
    let named = |name: &str| {
        name.is_empty() || event.subject.split([' ', '/', ',']).any(|part| means(name, part))
    };
    means(&filter.node, &event.node)
        && named(&filter.namespace)
        && named(&filter.workload)
        && (!filter.failed || event.level != "info")
}

#[cfg(test)]
mod tests;
