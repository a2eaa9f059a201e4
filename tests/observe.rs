//! What is remembered: by each node, asked of one and of all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::{MeshPod, PATIENCE, Pair};
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// From a refusal to its place on a page.
const SHOWN: Duration = Duration::from_secs(2);

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// The last ten minutes.
fn window() -> String {
    let now = now_ms();
    format!("from={}&to={}", now - 600_000, now + 1_000)
}

fn no_web(pair: &Pair) -> Value {
    let spec = json!({
        "selector": {"matchLabels": {"app": "store"}},
        "rules": [from_principals(&[&pair.web.principal()])],
    });
    authorization_policy(("shop", "no-web"), "DENY", spec)
}

/// The one of a list whose field is that.
fn one<'a>(list: &'a Value, field: &str, is: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one[field] == is)
}

/// The workload that a pod of the testbed belongs to: its owner is named so.
fn owner(pod: &MeshPod) -> String {
    format!("{}-1", pod.full_name())
}

/// The vertex of the graph that stands for it.
fn vertex(pod: &MeshPod) -> String {
    format!("workload:{}", owner(pod))
}

testbed::scenario! {
    async fn the_fleet_shows_who_talks_to_whom_and_who_was_refused(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let (mesh, web, store) = (&pair.mesh, &pair.web, &pair.store);
        let control = mesh.control();
        for _ in 0..5 {
            web.is_seen_as(store.at4(7)).await?;
        }
        eventually("all proxies can be asked", PATIENCE, async || {
            let about = control.api("about").await.unwrap_or_default();
            let origins = about["origins"].as_array().map_or(0, Vec::len);
            about["scope"] == "fleet" && origins == 3
        }).await?;

        let graph = control.api(&format!("mesh?{}", window())).await?;
        let link = graph["edges"].as_array().into_iter().flatten()
            .find(|e| e["from"] == vertex(web) && e["to"] == vertex(store))
            .unwrap_or_else(|| panic!("no link: {graph:#}"));
        assert_eq!(link["security"], "mtls", "{link}");
        assert_eq!(link["health"], "ok", "{link}");
        assert!(link["totals"]["opened"].as_u64() >= Some(5), "{link}");
        assert_eq!(link["identity"], web.identity(), "{link}");

        mesh.apply(&no_web(&pair))?;
        eventually("web is refused", PATIENCE, async || {
            web.is_seen_as(store.at4(7)).await.is_err()
        }).await?;
        let asked = format!("incidents?{}&policy=shop/no-web", window());
        let mut incident = Value::Null;
        eventually("the refusal is shown", SHOWN, async || {
            let page = control.api(&asked).await.unwrap_or_default();
            incident = page["incidents"][0].clone();
            !incident.is_null()
        }).await?;
        assert_eq!(incident["key"]["failure"], "DENY", "{incident}");
        assert_eq!(incident["key"]["source"]["identity"], web.identity(), "{incident}");
        let name = web.full_name();
        let name = name.split_once('/').map_or("", |(_, name)| name);
        assert_eq!(incident["sourcePod"], name, "{incident}");
        assert_eq!(incident["hop"], "destination ztunnel", "{incident}");
        assert_eq!(incident["node"], "node-b", "{incident}");

        let policies = control.api(&format!("policies?{}", window())).await?;
        let row = one(&policies["policies"], "name", "shop/no-web").expect("its row");
        assert_eq!((&row["action"], &row["enforcedBy"]), (&json!("DENY"), &json!("ztunnel")));
        assert!(row["refused"].as_u64() >= Some(1), "{row}");

        let nodes = control.api(&format!("nodes?{}", window())).await?;
        let node = one(&nodes["nodes"], "name", "node-b").expect("a card");
        assert_eq!((&node["pods"], &node["enrolled"], &node["proven"]), (&json!(1), &json!(1), &json!(1)), "{node}");
        assert_eq!(node["ready"], true, "{node}");
        assert!(node["residentBytes"].as_u64().is_none_or(|bytes| bytes < 1 << 30), "{node}");
        assert!(node["nextExpiryMs"].as_u64() > Some(0), "{node}");
        assert!(node["totals"]["refused"].as_u64() >= Some(1), "{node}");

        let page = control.api(&format!("workloads/{}?{}", owner(store), window())).await?;
        assert_eq!(page["workload"]["identity"], store.identity(), "{page:#}");
        assert_eq!(page["inbound"]["peers"][0]["peer"]["name"], format!("{name}-1"), "{page:#}");
        assert!(page["inbound"]["heat"]["steps"].as_array().is_some_and(|s| !s.is_empty()));

        let certificates = control.api(&format!("certificates?{}", window())).await?;
        let own = one(&certificates["certificates"], "identity", &store.identity()).expect("it");
        assert_eq!((&own["state"], &own["node"]), (&json!("valid"), &json!("node-b")), "{own}");

        let events = control.api(&format!("events?{}", window())).await?;
        for (kind, subject) in
            [("enrolled", format!("Pod {}", store.full_name())),
             ("proof", format!("Pod {}", store.full_name())),
             ("policy", "AuthorizationPolicy shop/no-web".to_owned()),
             ("policy", "policy shop/no-web".to_owned())]
        {
            let found = events["events"].as_array().into_iter().flatten()
                .any(|event| event["kind"] == kind && event["subject"] == subject);
            assert!(found, "{kind} {subject}: {events:#}");
        }
        Ok(())
    }

    async fn a_node_answers_what_was_refused_when_control_is_gone_and_after_its_own_death(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let (mesh, web, store) = (&pair.mesh, &pair.web, &pair.store);
        mesh.apply(&no_web(&pair))?;
        eventually("web is refused", PATIENCE, async || {
            web.is_seen_as(store.at4(7)).await.is_err()
        }).await?;
        let refused = now_ms();
        mesh.control().kill().await?;
        let ztunnel = store.ztunnel()?;
        let asked = format!("incidents?from={}&to={}&failed=true", refused - 60_000, refused + 1_000);
        let page = ztunnel.api(&asked).await?;
        assert_eq!(page["incidents"][0]["key"]["policy"], "shop/no-web", "{page:#}");
        // What is older than a step is on disk.
        eventually("the step has ended", Duration::from_secs(15), async || {
            let about = ztunnel.api("about").await.unwrap_or_default();
            about["oldestMs"].as_u64().map(u128::from) < Some(refused)
                && now_ms() > refused + 11_000
        }).await?;
        ztunnel.kill()?;
        let mut page = Value::Null;
        eventually("its successor answers", PATIENCE, async || {
            page = ztunnel.api(&asked).await.unwrap_or_default();
            page["incidents"][0]["key"]["policy"] == "shop/no-web"
        }).await?;
        assert_eq!(page["incidents"][0]["key"]["source"]["identity"], web.identity());
        Ok(())
    }

    async fn a_question_out_of_bounds_gets_a_sentence_and_the_field(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let control = pair.mesh.control();
        for (query, field) in [
            ("mesh", "from"),
            ("mesh?from=1&to=x", "to"),
            ("mesh?from=5&to=1", "to"),
            ("mesh?from=0&to=99999999999999", "from"),
            ("mesh?from=1&to=2&group=colour", "group"),
            ("mesh?from=1&to=2&colour=red", "colour"),
            ("mesh?from=1&to=2&from=3", "from"),
            ("events?from=1&to=2&limit=1000000", "limit"),
            ("nodes?from=0&to=1000000000&step=1", "step"),
            ("live?from=1", "from"),
        ] {
            let error = control.api(query).await.expect_err(query).to_string();
            assert!(error.contains("status 400") && error.contains(&format!("\"field\":\"{field}\"")), "{query}: {error}");
        }
        let error = control.api("../debug/config").await.expect_err("another page").to_string();
        assert!(error.contains("status 404"), "{error}");
        Ok(())
    }
}
