//! Who may talk to whom: plaintext, ALLOW and DENY, from the change of a file to its effect.

use std::time::Duration;

use serde_json::json;
use testbed::manifests::{authorization_policy, from_principals, peer_authentication};
use testbed::mesh::{MeshPod, Pair};
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// From the change of a file to its effect.
const EFFECT: Duration = Duration::from_secs(1);

/// Waits until a new connection from `client` works, or no longer.
async fn reaches(client: &MeshPod, store: &MeshPod, wanted: bool) -> anyhow::Result<Duration> {
    let what = format!("{} reaches the store: {wanted}", client.full_name());
    let to = store.at4(7);
    Ok(eventually(what, EFFECT, async || client.is_seen_as(to).await.is_ok() == wanted).await?)
}

fn on_the_store(action: &str, name: &str, rules: &serde_json::Value) -> serde_json::Value {
    let spec = json!({"selector": {"matchLabels": {"app": "store"}}, "rules": rules});
    authorization_policy(("shop", name), action, spec)
}

testbed::scenario! {
    async fn plaintext_passes_unless_the_server_is_strict(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let outsider = mesh.pod("legacy/printer").on("node-a").await?;
        for to in [store.at4(7), store.at6(7)] {
            let own = outsider.ips().into_iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
            assert_eq!(Some(outsider.is_seen_as(to).await?), own.map(|ip| ip.to_string()));
        }
        let mut open = outsider.chat(store.at4(7)).await?;

        mesh.apply(&peer_authentication(("shop", "default"), "STRICT", &[]))?;
        open.is_ended(EFFECT).await?;
        reaches(&outsider, &store, false).await?;
        assert!(outsider.is_seen_as(store.at6(7)).await.is_err(), "IPv6 is as strict");
        reaches(&web, &store, true).await?;
        let refusal = store.ztunnel()?.logs("connection complete").with("level", "error")
            .with("src.workload", "printer").with("direction", "inbound").await?;
        assert_eq!(refusal.get("src.identity"), None, "{refusal}");

        mesh.apply(&peer_authentication(("shop", "default"), "PERMISSIVE", &[]))?;
        reaches(&outsider, &store, true).await?;
        Ok(())
    }

    async fn a_newly_denied_client_loses_its_open_connections(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, service } = Pair::enrolled(&bed, AMBIT).await?;
        let other = mesh.pod("shop/other").on("node-a").enrolled().await?;
        let mut denied = [
            web.chat(store.at4(7)).await?,
            web.chat(store.at6(7)).await?,
            web.chat(service.at4(80)).await?,
        ];
        let mut kept = other.chat(store.at4(7)).await?;

        mesh.apply(&on_the_store("DENY", "no-web", &json!([from_principals(&[&web.principal()])])))?;
        for chat in &mut denied {
            chat.is_ended(EFFECT).await?;
        }
        reaches(&web, &store, false).await?;
        kept.say("still there?").await?;
        reaches(&other, &store, true).await?;
        store.ztunnel()?.logs("connection complete").with("policy", "shop/no-web")
            .with("src.identity", web.identity()).with("level", "error").await?;
        let metrics = store.ztunnel()?.metrics().await?;
        let of_web = [("source_principal", &*web.identity()), ("response_flags", "DENY")];
        let failed = metrics.sum("istio_tcp_connections_failed_total", &of_web);
        assert!(failed >= 4.0, "three open and one new, and {failed} are counted");

        mesh.remove("AuthorizationPolicy", "shop", "no-web")?;
        reaches(&web, &store, true).await?;
        kept.say("still there?").await?;
        Ok(())
    }

    async fn an_allow_policy_lets_in_whom_it_names(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let other = mesh.pod("shop/other").on("node-a").enrolled().await?;
        let mut of_web = web.chat(store.at4(7)).await?;
        let mut of_other = other.chat(store.at4(7)).await?;
        let only = |pod: &MeshPod| {
            on_the_store("ALLOW", "only", &json!([from_principals(&[&pod.principal()])]))
        };

        mesh.apply(&only(&web))?;
        of_other.is_ended(EFFECT).await?;
        reaches(&other, &store, false).await?;
        of_web.say("still there?").await?;
        reaches(&web, &store, true).await?;

        mesh.apply(&only(&other))?;
        of_web.is_ended(EFFECT).await?;
        reaches(&web, &store, false).await?;
        reaches(&other, &store, true).await?;

        mesh.remove("AuthorizationPolicy", "shop", "only")?;
        reaches(&web, &store, true).await?;
        Ok(())
    }

    async fn a_policy_with_a_mistake_is_stricter_and_said_so(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let mistaken = json!([{"from": [{"source": {"principal": [web.principal()]}}]}]);
        mesh.apply(&on_the_store("ALLOW", "typo", &mistaken))?;
        reaches(&web, &store, false).await?;
        mesh.control().status_is("the unknown field is reported", |status| {
            let problems = status["problems"].as_array();
            problems.is_some_and(|all| all.iter().any(|problem| {
                problem["object"] == "AuthorizationPolicy shop/typo"
                    && problem["field"].as_str().is_some_and(|f| f.starts_with("spec.rules[0]"))
            }))
        }).await?;
        // An empty rule is no mistake: it matches everybody.
        mesh.apply(&on_the_store("ALLOW", "typo", &json!([{}])))?;
        reaches(&web, &store, true).await?;
        Ok(())
    }

    async fn a_file_that_cannot_be_read_changes_nothing(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.apply(&on_the_store("DENY", "no-web", &json!([from_principals(&[&web.principal()])])))?;
        reaches(&web, &store, false).await?;
        let file = "authorizationpolicy.shop.no-web.yaml";
        mesh.manifests().write(file, "kind: [AuthorizationPolicy\n")?;
        mesh.control().status_is("the broken file is reported", |status| {
            let problems = status["problems"].as_array();
            problems.is_some_and(|all| all.iter().any(|problem| problem["file"] == file))
        }).await?;
        assert!(web.is_seen_as(store.at4(7)).await.is_err(), "the last good version is in force");
        // Other files go on: a pod that comes now is known everywhere.
        let late = mesh.pod("shop/late").on("node-b").echoing().enrolled().await?;
        assert!(web.is_seen_as(late.at4(7)).await.is_ok());
        Ok(())
    }
}

testbed::scenario! {
    async fn a_node_that_knows_no_policy_yet_lets_nobody_in(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.apply(&on_the_store("DENY", "no-web", &json!([from_principals(&[&web.principal()])])))?;
        reaches(&web, &store, false).await?;
        mesh.control().kill().await?;
        let mark = store.ztunnel()?.mark();
        store.ztunnel()?.kill()?;
        mesh.node("node-b")?.logs("program started").since(mark).with("program", "ztunnel").await?;
        // Without control the new ztunnel has no state: nothing passes, nothing leaks.
        for _ in 0..20 {
            assert!(web.is_seen_as(store.at4(7)).await.is_err());
            assert!(!mesh.node("node-b")?.ztunnel().is_ready().await);
        }
        mesh.control().start()?;
        mesh.ready().await?;
        let other = mesh.pod("shop/other").on("node-a").enrolled().await?;
        eventually("others get in again", testbed::mesh::PATIENCE, async || {
            other.is_seen_as(store.at4(7)).await.is_ok()
        }).await?;
        assert!(web.is_seen_as(store.at4(7)).await.is_err(), "and the policy holds");
        Ok(())
    }
}
