//! Policies decide who talks to whom, also on connections that are open already.

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::{Mesh, MeshPod, Testbed, manifests as m};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const SOON: Duration = Duration::from_secs(20);
/// In which a policy takes effect, from the change of its file.
const EFFECT: Duration = Duration::from_secs(1);

/// A web pod and a store that echoes, on two nodes, in the mesh.
async fn web_and_store(mesh: &Mesh) -> anyhow::Result<(MeshPod, MeshPod)> {
    let store = mesh.pod("shop/store").on("node-b").enrolled().echoing().await?;
    let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
    Ok((web, store))
}

/// Whether a short echo from `web` to `store` succeeds.
async fn talks(web: &MeshPod, store: &MeshPod) -> anyhow::Result<bool> {
    let echo = web.load("echo", store.at4(7))?.args(["--bytes", "1000"]);
    Ok(echo.run(SOON).await?.success().is_ok())
}

/// Tries until `web` may (`true`) or may not talk to `store`; the time it took.
async fn takes_effect(web: &MeshPod, store: &MeshPod, may: bool) -> anyhow::Result<Duration> {
    let began = Instant::now();
    while talks(web, store).await? != may {
        anyhow::ensure!(began.elapsed() < SOON, "the policy has no effect");
    }
    Ok(began.elapsed())
}

/// A policy's body: this client, at the store.
fn on_the_store(principal: &str) -> serde_json::Value {
    json!({
        "selector": {"matchLabels": {"app": "store"}},
        "rules": [m::from_principals(&[principal])],
    })
}

fn deny(principal: &str) -> serde_json::Value {
    m::authorization_policy(("shop", "no-web"), "DENY", on_the_store(principal))
}

testbed::scenario! {
    async fn a_newly_denied_client_loses_its_open_chat_within_a_second(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let chat = web.load("chat", store.at4(7))?.args(["--messages", "2000", "--interval", "20"]);
        let chat = chat.spawn()?;
        let opened = mesh.node("node-b")?.ztunnel();
        testbed::eventually("the chat is counted", SOON, async || {
            let of = [("reporter", "destination")];
            let opened = opened.metrics().await;
            opened.is_ok_and(|m| m.sum("istio_tcp_connections_opened_total", &of) >= 1.0)
        }).await?;

        let changed = Instant::now();
        mesh.apply(&deny(&web.principal()))?;
        let ended = chat.wait(EFFECT).await?;

        assert!(changed.elapsed() <= EFFECT, "{:?}", changed.elapsed());
        let error = ended.success().expect_err("it was cut").to_string();
        assert!(error.contains("reset"), "{error}");
        assert!(!talks(&web, &store).await?, "a new connection is refused too");
        let log = store.ztunnel()?.logs("connection complete");
        log.with("policy", "shop/no-web").with("src.identity", web.identity()).await?;

        mesh.remove("AuthorizationPolicy", "shop", "no-web")?;
        let took = takes_effect(&web, &store, true).await?;
        assert!(took <= EFFECT, "lifting it took {took:?}");
        Ok(())
    }

    async fn an_allow_policy_lets_only_the_named_client_in(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let other = mesh.pod("shop/other").on("node-a").enrolled().await?;
        assert!(talks(&web, &store).await? && talks(&other, &store).await?);
        let body = on_the_store(&web.principal());
        mesh.apply(&m::authorization_policy(("shop", "only-web"), "ALLOW", body))?;
        let took = takes_effect(&other, &store, false).await?;
        assert!(took <= EFFECT, "it took {took:?}");
        assert!(talks(&web, &store).await?, "the named one still may");
        Ok(())
    }

    async fn plaintext_is_refused_by_a_strict_workload_and_let_in_by_a_permissive_one(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let outside = mesh.pod("legacy/cron").on("node-a").await?;
        assert!(talks(&outside, &store).await?, "permissive is the default");

        mesh.apply(&m::peer_authentication(("shop", "strict"), "STRICT", &[]))?;
        let took = takes_effect(&outside, &store, false).await?;
        assert!(took <= EFFECT, "it took {took:?}");
        assert!(talks(&web, &store).await?, "the mesh itself goes on");

        mesh.apply(&m::peer_authentication(("shop", "strict"), "PERMISSIVE", &[]))?;
        let took = takes_effect(&outside, &store, true).await?;
        assert!(took <= EFFECT, "it took {took:?}");
        Ok(())
    }
}
