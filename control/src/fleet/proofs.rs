//! What nodes prove of pods, as events: that a pod is captured, and that it no longer is.

use observe::recorder::Recorder;

use super::pods::CAPTURED;
use crate::model::object::{Object, Pod};
use crate::model::report::Enrolment;
use crate::model::world::World;
use crate::node::watch::{FromNode, Reported};
use crate::source::Update;

/// Tells what `batch` is about to change in `world`. What is only pending is no news yet.
pub fn tell_reported(recorder: &Recorder, world: &World, batch: &[FromNode]) {
    let reported = batch.iter().filter_map(|event| match event {
        FromNode::Pod(reported) => Some(reported),
        FromNode::Came(_) | FromNode::Left(_) => None,
    });
    for Reported { node, pod, uid, report } in reported {
        let before = world.report(uid).map(|before| before.state);
        let there = world.pod(pod).is_some_and(|pod| pod.uid == *uid);
        if !there || before == Some(report.state) {
            continue;
        }
        match (before, report.state) {
            (_, Enrolment::Enrolled) => proven(recorder, node, &pod.to_string()),
            (_, Enrolment::Failed) => {
                let text = format!("its node cannot capture it: {}", report.reason);
                recorder.event_on(node, ("proof", "error"), format!("Pod {pod}"), text);
            }
            (Some(Enrolment::Enrolled), _) => {
                lost(recorder, node, &pod.to_string(), &report.reason)
            }
            (_, Enrolment::Pending | Enrolment::NotEnrolled) => {}
        }
    }
}

/// The same in a cluster, where a node's agent says so by an annotation of the pod.
pub fn tell_annotated(recorder: &Recorder, world: &World, update: &Update) {
    for object in update.changes.iter().filter_map(|(_, object)| object.as_ref()) {
        let Object::Pod(pod) = object else { continue };
        let name = pod.meta.key.to_string();
        match (world.pod(&pod.meta.key).is_some_and(captured), captured(pod)) {
            (false, true) => proven(recorder, &pod.node, &name),
            (true, false) => lost(recorder, &pod.node, &name, ""),
            _ => {}
        }
    }
}

fn captured(pod: &Pod) -> bool {
    pod.meta.annotation(CAPTURED) == Some("enabled")
}

fn proven(recorder: &Recorder, node: &str, pod: &str) {
    let text = "its node proved that its traffic is captured".to_owned();
    recorder.event_on(node, ("proof", "info"), format!("Pod {pod}"), text);
}

fn lost(recorder: &Recorder, node: &str, pod: &str, reason: &str) {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let text = format!("its node no longer captures it{why}");
    recorder.event_on(node, ("proof", "info"), format!("Pod {pod}"), text);
}
