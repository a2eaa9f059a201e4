//! Waypoints by the command.

use serde_json::json;
use testbed::Testbed;
use testbed::mesh::Pair;

use crate::said::{AMBIT, ambit};

testbed::scenario! {
    async fn a_waypoint_comes_is_used_and_goes(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, service, .. } = Pair::enrolled(&bed, AMBIT).await?;
        ambit(&bed, "waypoint list").await?.ends(0).has(&["no waypoints", "ambit waypoint apply"]);
        let said = ambit(&bed, "waypoint apply -n shop --enroll-namespace").await?.ends(0);
        said.has(&["Gateway shop/waypoint written to"]).has(&["ready after"])
            .has(&["Namespace shop: istio.io/use-waypoint=waypoint"]);
        ambit(&bed, "waypoint list").await?.ends(0)
            .has(&["shop", "waypoint", "service", "yes", "instances ready", "Namespace shop"]);
        ambit(&bed, "waypoint status waypoint").await?.ends(0)
            .has(&["Programmed", "yes"]).has(&["used by Namespace shop"]);
        let json = ambit(&bed, "waypoint list -o json").await?.ends(0).json();
        assert_eq!(json["waypoints"][0]["ready"], json!(true), "{json:#}");
        assert_eq!(web.is_seen_as(service.at4(80)).await.is_ok(), true, "through the waypoint");
        ambit(&bed, "waypoint delete waypoint").await?.ends(1)
            .complains("is used by Namespace shop").complains("--force");
        ambit(&bed, "waypoint delete waypont").await?.ends(4).complains("did you mean shop/waypoint?");
        ambit(&bed, "waypoint delete shop/waypoint --force").await?.ends(0).has(&["deleted with its file"]);
        mesh.control().status_is("the label names nothing", |status| {
            status["objects"].get("Gateway shop/waypoint").is_none()
        }).await?;
        ambit(&bed, "waypoint list").await?.ends(0).has(&["no waypoints"]);
        ambit(&bed, "check -n shop").await?.ends(3).has(&["error waypoint-missing"]);
        ambit(&bed, "waypoint apply -n shpo").await?.ends(4).complains("did you mean shop?");
        // Without words it is the program, and a person is told how to go on.
        ambit(&bed, "waypoint").await?.ends(2).complains("Usage: ambit waypoint");
        Ok(())
    }
}
