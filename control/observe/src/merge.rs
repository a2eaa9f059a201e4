//! One answer out of several: each keeps its node.

use crate::pb::Answer;

/// Joins answers to one question, at most `limit` of each kind of record; what is beyond counts
/// as folded. Connections are those that are the busiest of all.
pub fn merge(answers: impl IntoIterator<Item = Answer>, limit: usize) -> Answer {
    let mut all = Answer::default();
    let mut first = true;
    for answer in answers {
        if std::mem::take(&mut first) {
            (all.from_ms, all.to_ms, all.step_ms) = (answer.from_ms, answer.to_ms, answer.step_ms);
            all.oldest_ms = answer.oldest_ms;
        }
        all.oldest_ms = all.oldest_ms.min(answer.oldest_ms);
        let node = answer.origin.as_ref().map(|origin| origin.node.clone()).unwrap_or_default();
        all.edges.extend(answer.edges);
        all.incidents.extend(answer.incidents);
        all.events.extend(answer.events);
        all.costs.extend(answer.costs);
        all.connections.extend(answer.connections);
        all.folded = all.folded.saturating_add(answer.folded);
        all.dropped = all.dropped.saturating_add(answer.dropped);
        if let Some(state) = answer.state {
            let sum = all.state.get_or_insert_default();
            sum.pods.extend(state.pods.into_iter().map(|mut pod| {
                pod.node.clone_from(&node);
                pod
            }));
            sum.certificates.extend(state.certificates);
            sum.routes.extend(state.routes);
            sum.policies.extend(state.policies);
            sum.open_connections += state.open_connections;
            sum.edges += state.edges;
        }
    }
    let beyond = all.edges.len().saturating_sub(limit);
    all.folded = all.folded.saturating_add(beyond as u64);
    all.edges.truncate(limit);
    all.incidents.sort_by_key(|incident| std::cmp::Reverse(incident.at_ms));
    all.incidents.truncate(limit);
    all.events.sort_by_key(|event| std::cmp::Reverse(event.at_ms));
    all.events.truncate(limit);
    all.connections
        .sort_by_key(|c| std::cmp::Reverse((c.sent_rate + c.received_rate, c.sent_bytes)));
    all.connections.truncate(limit);
    all
}
