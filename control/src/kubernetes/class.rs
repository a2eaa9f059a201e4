//! The GatewayClass of waypoints, once the cluster knows Gateways.

use std::time::Duration;

use hbone::brand;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{info, warn};

use super::MANAGER;
use super::observed::{Observed, Seen};
use crate::model::object::{Kind, ObjectRef};
use crate::source::kubernetes::kinds;

/// Pause before a class that is not there is applied again: the definitions may have come, or
/// the watch may be behind.
const AGAIN: Duration = Duration::from_secs(10);

/// What is to be done about the class that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is as it should be.
    Fine,
    /// It is missing, or another than it should be.
    Apply,
    /// It names another controller, which cannot be changed: it is another's.
    Foreign,
}

/// Keeps the class until cancelled: written when what the source observes differs from what it
/// should be, and never otherwise.
pub async fn keep(client: Client, observed: Observed) {
    let Some(watched) = kinds::of_kind(Kind::GatewayClass) else { return };
    let api: Api<DynamicObject> = Api::all_with(client, &watched.resource());
    let name = ObjectRef::new(Kind::GatewayClass, "", brand::WAYPOINT_CLASS);
    let mut changes = observed.subscribe();
    let mut before = None;
    loop {
        changes.borrow_and_update();
        let now = verdict(observed.get(&name).as_deref());
        if now == Verdict::Apply {
            apply(&api).await;
        } else if before != Some(now) && now == Verdict::Foreign {
            warn!(class = brand::WAYPOINT_CLASS, "GatewayClass names another controller");
        }
        before = Some(now);
        // Whatever changes in the cluster rings: what it costs is a look.
        let changed = async {
            while verdict(observed.get(&name).as_deref()) == now {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        if now == Verdict::Apply {
            let _ = timeout(AGAIN, changed).await;
        } else {
            changed.await;
        }
    }
}

fn verdict(seen: Option<&Seen>) -> Verdict {
    let Some(seen) = seen else { return Verdict::Apply };
    let (wanted, found) = (&class()["spec"], &seen.value["spec"]);
    if found["controllerName"] != wanted["controllerName"] {
        Verdict::Foreign
    } else if found["description"] == wanted["description"] {
        Verdict::Fine
    } else {
        Verdict::Apply
    }
}

async fn apply(api: &Api<DynamicObject>) {
    // Not forced: a field that somebody else manages stays as it is.
    let (params, class) = (PatchParams::apply(MANAGER), Patch::Apply(class()));
    match api.patch(brand::WAYPOINT_CLASS, &params, &class).await {
        Ok(_) => info!(class = brand::WAYPOINT_CLASS, "GatewayClass applied"),
        // No definitions yet.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => warn!(class = brand::WAYPOINT_CLASS, %error, "GatewayClass not applied"),
    }
}

fn class() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": brand::WAYPOINT_CLASS},
        "spec": {
            "controllerName": brand::WAYPOINT_CONTROLLER,
            "description": "Waypoints of Ambit: layer 7 for a namespace or a service",
        },
    })
}

#[cfg(test)]
mod tests;
