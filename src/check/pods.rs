//! Pods that should take part and do not, or cannot be shown to.

use super::finding::{Finding, Severity};
use crate::status::{PodRow, Proof, Standing};

/// What is wrong with the pods.
pub(super) fn of(standing: &Standing) -> Vec<Finding> {
    standing.pods.iter().filter_map(find).collect()
}

fn find(pod: &PodRow) -> Option<Finding> {
    let finding = |severity, id, problem: String, fix: String| {
        let object = format!("Pod {}/{}", pod.namespace, pod.name);
        Some(Finding::new(severity, id, object, problem, fix).within(&pod.namespace).on(&pod.node))
    };
    if pod.wanted && pod.state != "enrolled" {
        let why = if pod.reason.is_empty() { String::new() } else { format!(": {}", pod.reason) };
        let problem = format!("its label asks for the mesh, and it is {}{why}", pod.state);
        return finding(
            Severity::Error,
            "pod-not-captured",
            problem,
            advice(&pod.reason, &pod.node),
        );
    }
    if !pod.wanted {
        return (pod.state == "enrolled").then(|| pod.state).and_then(|_| {
            finding(
                Severity::Warning,
                "pod-still-captured",
                "its label does not ask for the mesh any more, and it is captured".to_owned(),
                format!("see the agent's log on {}", pod.node),
            )
        });
    }
    match &pod.proof {
        Proof::Unproven(why) => finding(
            Severity::Error,
            "pod-unproven",
            format!("it is captured, and {why}: its traffic is refused"),
            format!(
                "see `ambit proxy certificates {0}` and the log of the ztunnel on {0}",
                pod.node
            ),
        ),
        Proof::Unknown(why) => finding(
            Severity::Warning,
            "pod-unproven",
            format!("it is captured, and nobody can tell whether it is served: {why}"),
            format!("start the ztunnel on {}, or see why it does not answer", pod.node),
        ),
        Proof::Proven | Proof::Nothing if pod.older_connections > 0 => finding(
            Severity::Info,
            "older-connections",
            format!(
                "{} connections are older than its enrolment, and not in the mesh",
                pod.older_connections
            ),
            "they end by themselves; restart the client to end them now".to_owned(),
        ),
        Proof::Proven | Proof::Nothing => None,
    }
}

/// What helps against a reason that the node gave.
fn advice(reason: &str, node: &str) -> String {
    let lower = reason.to_lowercase();
    if lower.contains("in use") {
        "a program of the pod listens on 15001, 15006, 15008 or 15053, which are the proxy's: give it \
         another port"
            .to_owned()
    } else if lower.contains("nft") {
        format!("run ambit check --machine on {node}")
    } else if lower.contains("namespace") {
        format!(
            "the pod's network namespace is not found on {node}: see whether its containers run"
        )
    } else {
        format!("see the agent's log on {node}, and `ambit check --node {node}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_found_by_what_it_lacks() {
        let pod = |wanted, state, proof| PodRow {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            node: "node-a".to_owned(),
            wanted,
            state,
            proof,
            ..PodRow::default()
        };
        for (pod, want) in [
            (pod(true, "enrolled", Proof::Proven), None),
            (pod(false, "not enrolled", Proof::Nothing), None),
            (pod(true, "pending", Proof::Unproven("x".into())), Some("pod-not-captured")),
            (pod(true, "failed", Proof::Nothing), Some("pod-not-captured")),
            (pod(true, "enrolled", Proof::Unproven("x".into())), Some("pod-unproven")),
            (pod(true, "enrolled", Proof::Unknown("x".into())), Some("pod-unproven")),
            (pod(false, "enrolled", Proof::Nothing), Some("pod-still-captured")),
        ] {
            assert_eq!(find(&pod).map(|found| found.id), want, "{pod:?}");
        }
        assert!(advice("bind 15008: Address in use", "n").contains("another port"));
    }
}
