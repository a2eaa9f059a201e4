//! The GatewayClass of waypoints, once the cluster knows Gateways.

use std::time::Duration;

use hbone::brand;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::MANAGER;
use crate::model::object::Kind;
use crate::source::kubernetes::kinds;

/// Pause before it is applied again: somebody may have removed it, or brought the definitions.
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps the class until cancelled. One that is there and names another controller stays as it is.
pub async fn keep(client: Client) {
    let Some(watched) = kinds::of_kind(Kind::GatewayClass) else { return };
    let api: Api<DynamicObject> = Api::all_with(client, &watched.resource());
    let mut said = false;
    loop {
        // Not forced: the controller of a class cannot be changed, and another's is not ours.
        let (params, class) = (PatchParams::apply(MANAGER), Patch::Apply(class()));
        match api.patch(brand::WAYPOINT_CLASS, &params, &class).await {
            Ok(_) if said => {}
            Ok(_) => {
                info!(class = brand::WAYPOINT_CLASS, "GatewayClass applied");
                said = true;
            }
            // No definitions yet.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                warn!(class = brand::WAYPOINT_CLASS, %error, "GatewayClass not applied");
            }
        }
        tokio::time::sleep(AGAIN).await;
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
