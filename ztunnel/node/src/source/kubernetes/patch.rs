//! What has to be written about a pod, as a strategic merge patch of its status: the annotation
//! that peers' control planes read, and a condition for people.

use std::time::SystemTime;

use hbone::{brand, label};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::pod::Uid;
use crate::source::{Report, State};

/// Our word on a pod, as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    annotation: Option<String>,
    condition: Option<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    status: String,
    reason: String,
    message: String,
}

impl Written {
    pub(super) fn read(pod: &ApiPod) -> Self {
        let annotations = pod.metadata.annotations.as_ref();
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ours = conditions.into_iter().flatten().find(|c| c.type_ == brand::ENROLLED);
        Self {
            annotation: annotations.and_then(|all| all.get(label::REDIRECTION)).cloned(),
            condition: ours.map(|found| Condition {
                status: found.status.clone(),
                reason: found.reason.clone().unwrap_or_default(),
                message: found.message.clone().unwrap_or_default(),
            }),
        }
    }

    /// What it should be. A pod that does not take part carries nothing of ours.
    fn wanted(report: &Report) -> Self {
        let (annotation, status, reason) = match report.state {
            State::NotEnrolled => return Self::default(),
            State::Pending => ("pending", "False", "Pending"),
            State::Enrolled => ("enabled", "True", "Enrolled"),
        };
        let message = match (report.reason.as_str(), report.older_connections) {
            (reason, 0) => reason.to_owned(),
            ("", n) => format!("{n} connections are older than the enrolment"),
            (reason, n) => format!("{reason}; {n} connections are older than the enrolment"),
        };
        let condition = Condition { status: status.to_owned(), reason: reason.to_owned(), message };
        Self { annotation: Some(annotation.to_owned()), condition: Some(condition) }
    }
}

/// The patch that brings `written` to what `report` says; `None` if it says so already. It
/// names the pod's UID, so that another pod of that name is not touched.
pub(super) fn of(uid: &Uid, written: &Written, report: &Report, now: SystemTime) -> Option<Value> {
    let wanted = Written::wanted(report);
    if *written == wanted {
        return None;
    }
    let condition = match &wanted.condition {
        Some(condition) => {
            let status = written.condition.as_ref().map(|old| &old.status);
            let mut ours = json!({
                "type": brand::ENROLLED,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
            });
            if status != Some(&condition.status) {
                // A clock before 1970 or after 9999 is told as the beginning.
                let now = Timestamp::try_from(now).unwrap_or_default();
                ours["lastTransitionTime"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            }
            ours
        }
        None => json!({"$patch": "delete", "type": brand::ENROLLED}),
    };
    Some(json!({
        "metadata": {
            "uid": uid.as_str(),
            "annotations": {label::REDIRECTION: wanted.annotation},
        },
        "status": {"conditions": [condition]},
    }))
}

#[cfg(test)]
mod tests;
