//! What control says of each object, as findings. What is wrong is control's own sentence; what
//! to do follows from the condition.

use super::finding::{Finding, Severity};
use crate::mesh::control::{Condition, Problem, StatusReport};

/// What a report says. `offline` leaves out what only running instances can make true.
pub(super) fn of_report(report: &StatusReport, offline: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = report.problems.iter().map(problem).collect();
    for (object, conditions) in &report.objects {
        for condition in conditions {
            if let Some(advice) = advice(condition, offline) {
                findings.push(of_condition(object, condition, advice));
            }
        }
    }
    findings
}

/// A part of a document that is not taken as written.
fn problem(problem: &Problem) -> Finding {
    let Problem { file, document, object, field, message } = problem;
    let place = match (file.as_str(), document) {
        ("", _) => object.clone(),
        (file, 0) => file.to_owned(),
        (file, document) => format!("{file}, document {document}"),
    };
    let object = if object.is_empty() { place.clone() } else { object.clone() };
    let problem = match field.as_str() {
        "" => format!("{place}: {message}"),
        field => format!("{place}: {field}: {message}"),
    };
    let fix = match field.as_str() {
        "" => format!("correct {place}"),
        field => format!("correct {field} in {place}"),
    };
    let namespace = namespace(&object).to_owned();
    Finding::new(Severity::Error, "not-as-written", object, problem, fix).within(&namespace)
}

fn of_condition(object: &str, condition: &Condition, advice: Advice) -> Finding {
    let problem = match condition.message.as_str() {
        "" => format!("{}: {}", condition.kind, condition.reason),
        message => message.to_owned(),
    };
    let namespace = match object.split_once(' ') {
        Some(("Namespace", name)) => name,
        _ => namespace(object),
    };
    let (severity, id, fix) = advice;
    Finding::new(severity, id, object, problem, fix).within(namespace)
}

/// Of `Kind namespace/name`.
fn namespace(object: &str) -> &str {
    object.split_once(' ').and_then(|(_, key)| key.split_once('/')).map_or("", |(own, _)| own)
}

type Advice = (Severity, &'static str, &'static str);

/// What a condition means for who reads it; none if all is well.
fn advice(condition: &Condition, offline: bool) -> Option<Advice> {
    use Severity::{Error, Warning};
    let (kind, reason) = (condition.kind.as_str(), condition.reason.as_str());
    Some(match (kind, condition.status, reason) {
        // Of a pod's enrolment more is known than this.
        ("ambit.dev/Enrolled", ..) => return None,
        ("Programmed", false, _) if offline => return None,
        ("istio.io/WaypointMissing", true, _)
        | ("istio.io/WaypointBound", false, "WaypointIsNotReady") => (
            Error,
            "waypoint-missing",
            "bring it with `ambit waypoint apply NAME -n NAMESPACE`, or take the label istio.io/use-waypoint off",
        ),
        ("istio.io/WaypointBound", false, "AttachmentDenied") => (
            Error,
            "waypoint-refuses-namespace",
            "allow the namespace in the Gateway's spec.listeners[].allowedRoutes.namespaces, or use a waypoint of its own",
        ),
        ("istio.io/WaypointBound", false, "CrossNamespaceWaypointForbidden") => (
            Error,
            "waypoint-not-visible",
            "use a waypoint of its own namespace, or let spec.exportTo name the waypoint's",
        ),
        ("istio.io/WaypointBound", false, "UnsupportedTrafficType") => (
            Warning,
            "waypoint-other-traffic",
            "set the Gateway's label istio.io/waypoint-for to service, workload or all",
        ),
        ("istio.io/WaypointBound", false, _) => (
            Error,
            "waypoint-not-used",
            "write one label istio.io/use-waypoint that names a waypoint",
        ),
        ("Programmed", false, "NoResources") => (
            Error,
            "waypoint-nowhere",
            "give a Node a free address in annotation ambit.dev/waypoint-addresses, or room in the cluster",
        ),
        ("Programmed", false, _) => (
            Error,
            "waypoint-not-ready",
            "wait until an instance is ready; if none comes, see its log and `ambit waypoint status`",
        ),
        ("ZtunnelAccepted", _, "UnsupportedValue") if condition.message.contains("aypoint") => (
            Warning,
            "policy-needs-waypoint",
            "name a waypoint in spec.targetRefs, or write only principals, namespaces, addresses and ports",
        ),
        ("ZtunnelAccepted", _, "UnsupportedValue") => (
            Warning,
            "policy-stricter",
            "write the field as docs/wire.md has it; until then the policy is stricter",
        ),
        ("ZtunnelAccepted", false, _) => (
            Error,
            "policy-not-enforced",
            "write what the message asks for: nobody enforces it now",
        ),
        ("WaypointAccepted", false, _) => (
            Error,
            "policy-not-enforced",
            "write what the message asks for: no waypoint enforces it now",
        ),
        ("WaypointAccepted", true, "PartiallyInvalid") => (
            Warning,
            "policy-stricter",
            "write what the message asks for; until then the policy is stricter",
        ),
        ("ResolvedRefs", false, "BackendNotFound") => (
            Error,
            "backend-missing",
            "create the Service or name one that is there: what the rule sends there is answered with 500",
        ),
        ("ResolvedRefs", false, "RefNotPermitted") => (
            Error,
            "reference-not-permitted",
            "write a ReferenceGrant in the namespace of what is named",
        ),
        ("ResolvedRefs", false, _) => {
            (Error, "reference-unresolved", "name something that is there and of the right kind")
        }
        ("Accepted", false, "UnsupportedClass") => {
            (Warning, "gateway-of-others", "for a waypoint write gatewayClassName: ambit-waypoint")
        }
        ("Accepted", false, "NoMatchingParent") => {
            (Error, "parent-missing", "name a parent that is there; nobody uses the route now")
        }
        ("Accepted" | "ambit.dev/Accepted", false, _) => {
            (Error, "not-accepted", "write what the message asks for")
        }
        ("Accepted", true, "InvalidParameters") => {
            (Warning, "parameter-ignored", "write what the message asks for")
        }
        ("ambit.dev/Endpoints", false, _) => (
            Warning,
            "service-without-endpoints",
            "let its selector match pods that run: whoever calls it is refused",
        ),
        ("ambit.dev/Hosts", false, _) => (Warning, "host-taken", "give each host to one object"),
        ("ambit.dev/Addresses", false, _) => {
            (Warning, "host-without-address", "write spec.addresses, or fewer hosts")
        }
        // What is good when it does not hold.
        ("Conflicted", false, _) => return None,
        (_, false, _) => (Warning, "condition", "write what the message asks for"),
        (_, true, _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: bool, reason: &str, message: &str) -> Condition {
        let text = |text: &str| text.to_owned();
        Condition { kind: text(kind), status, reason: text(reason), message: text(message) }
    }

    #[test]
    fn each_condition_of_control_has_its_advice() {
        for (kind, status, reason, message, want) in [
            ("istio.io/WaypointBound", false, "WaypointIsNotReady", "", Some("waypoint-missing")),
            ("istio.io/WaypointBound", true, "WaypointAccepted", "", None),
            ("ResolvedRefs", false, "BackendNotFound", "", Some("backend-missing")),
            (
                "ZtunnelAccepted",
                true,
                "UnsupportedValue",
                "needs a waypoint",
                Some("policy-needs-waypoint"),
            ),
            ("ZtunnelAccepted", true, "UnsupportedValue", "is no address", Some("policy-stricter")),
            ("ZtunnelAccepted", true, "Accepted", "enforced as written", None),
            ("Conflicted", false, "NoConflicts", "", None),
            ("something.new/Sound", false, "Broken", "", Some("condition")),
        ] {
            let found = advice(&condition(kind, status, reason, message), false);
            assert_eq!(found.map(|(_, id, _)| id), want, "{kind} {reason}");
            assert!(found.is_none_or(|(_, _, fix)| !fix.is_empty()), "{kind}");
        }
        let pending = condition("Programmed", false, "Pending", "");
        assert!(advice(&pending, true).is_none() && advice(&pending, false).is_some());
    }

    #[test]
    fn findings_know_their_namespace() {
        for (object, want) in [("Pod shop/web", "shop"), ("Node node-a", ""), ("", "")] {
            assert_eq!(namespace(object), want, "{object}");
        }
        let of = of_condition(
            "Namespace shop",
            &condition("x", false, "y", ""),
            (Severity::Error, "i", "f"),
        );
        assert_eq!((of.namespace.as_str(), of.problem.as_str()), ("shop", "x: y"));
    }
}
