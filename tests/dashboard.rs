//! The pages in a real browser, over a running mesh: served by control, and by a node.
//!
//! The tests themselves are `control/observe/web/tests/browser`; here is the mesh that they look at.

#[path = "support/browser.rs"]
mod browser;

use browser::look;
use serde_json::json;
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::{PATIENCE, Pair};
use testbed::{Process, Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// Talks and is refused, again and again.
fn traffic(pair: &Pair, refused: &testbed::mesh::MeshPod) -> anyhow::Result<Vec<Process>> {
    let to = pair.store.at4(7);
    let talk = format!(
        "while :; do echo hello | timeout 2 bash -c 'exec 3<>/dev/tcp/{}/{}; cat >&3; head -c 5 <&3'; sleep 0.3; done",
        to.ip(),
        to.port()
    );
    [&pair.web, refused]
        .into_iter()
        .map(|pod| Ok(pod.command("bash").args(["-c", &talk]).spawn()?))
        .collect()
}

testbed::scenario! {
    #[ignore = "needs a browser, and a minute"]
    within 900;
    async fn every_page_of_the_fleet_in_a_browser(bed: Testbed) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let thief = pair.mesh.pod("shop/thief").on("node-a").enrolled().await?;
        let spec = json!({
            "selector": {"matchLabels": {"app": "store"}},
            "rules": [from_principals(&[&thief.principal()])],
        });
        pair.mesh.apply(&authorization_policy(("shop", "no-thief"), "DENY", spec))?;
        let _traffic = traffic(&pair, &thief)?;
        let control = pair.mesh.control();
        eventually("something was refused", PATIENCE, async || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_millis());
            let asked = format!("incidents?from={}&to={}&policy=shop/no-thief", now - 60_000, now + 1000);
            control.api(&asked).await.is_ok_and(|page| !page["incidents"][0].is_null())
        }).await?;
        look(&bed, "http://127.0.0.1:15016/ui/", &[
            ("AMBIT_NODE", "node-b".to_owned()),
            ("AMBIT_WORKLOAD", format!("{}-1", pair.store.full_name())),
            ("AMBIT_REFUSE", "true".to_owned()),
            ("AMBIT_REFUSED_IDENTITY", thief.identity()),
            ("AMBIT_REFUSED_POLICY", "shop/no-thief".to_owned()),
        ]).await
    }
}
