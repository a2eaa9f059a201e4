//! Programs of the mesh die; traffic goes on, or comes back by itself.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testbed::mesh::{Mesh, PATIENCE, Pair};
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

testbed::scenario! {
    async fn after_a_killed_ztunnel_new_connections_work_within_two_seconds(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        for pod in [&web, &store, &web] {
            let killed = Instant::now();
            pod.ztunnel()?.kill()?;
            let what = format!("a connection after the death of {}'s ztunnel", pod.name());
            // An attempt that hangs is one that fails: a client would try again.
            let soon = Duration::from_millis(500);
            eventually(what, Duration::from_secs(2), async || {
                let seen = tokio::time::timeout(soon, web.is_seen_as(store.at4(7))).await;
                matches!(seen, Ok(Ok(address)) if address == web.ip4().to_string())
            }).await?;
            println!("{} after {:?}", pod.name(), killed.elapsed());
        }
        Ok(())
    }

    async fn a_ztunnel_that_stops_in_order_lets_open_connections_end(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let mesh = Mesh::options(AMBIT).node_env("CONNECTION_TERMINATION_DEADLINE", "20s");
        let Pair { web, store, mesh, .. } = Pair::with(&bed, &mesh).await?;
        let mut chat = web.chat(store.at4(7)).await?;
        let (old, mark) = (store.ztunnel()?.pid()?, store.ztunnel()?.mark());
        store.ztunnel()?.signal(Signal::SIGTERM)?;
        store.ztunnel()?.logs("draining").since(mark).await?;
        chat.say("still there?").await?;
        drop(chat);
        eventually("a new ztunnel is ready", PATIENCE, async || {
            let new = store.ztunnel().and_then(|ztunnel| ztunnel.pid());
            new.is_ok_and(|pid| pid != old) && mesh.ready().await.is_ok()
        }).await?;
        eventually("new connections work", PATIENCE, async || {
            web.is_seen_as(store.at4(7)).await.is_ok()
        }).await?;
        Ok(())
    }

    async fn without_control_traffic_goes_on_and_with_it_new_pods_are_reached(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let mut chat = web.chat(store.at4(7)).await?;
        mesh.control().kill().await?;
        chat.say("still there?").await?;
        for _ in 0..20 {
            assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        }
        mesh.control().start()?;
        mesh.control().ready().await?;
        let late = mesh.pod("shop/late").on("node-b").echoing().enrolled().await?;
        assert_eq!(web.is_seen_as(late.at4(7)).await?, web.ip4().to_string());
        late.ztunnel()?.logs("connection complete").with("dst.identity", late.identity())
            .with("src.identity", web.identity()).await?;
        chat.say("still there?").await?;
        Ok(())
    }

    async fn a_node_comes_back_without_a_new_join_token(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.node("node-b")?.stop().await?;
        let error = web.is_seen_as(store.at4(7)).await.expect_err("nobody serves the store");
        assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "refused, not forgotten");
        mesh.node("node-b")?.start()?;
        mesh.ready().await?;
        eventually("the store is reached again", PATIENCE, async || {
            web.is_seen_as(store.at4(7)).await.is_ok()
        }).await?;
        let late = mesh.pod("shop/late").on("node-b").echoing().enrolled().await?;
        web.is_seen_as(late.at4(7)).await?;
        Ok(())
    }

    async fn a_killed_supervisor_stops_no_traffic_and_the_next_takes_over(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let (node, ztunnel) = (mesh.node("node-b")?, store.ztunnel()?);
        let mut chat = web.chat(store.at4(7)).await?;
        let pid = ztunnel.pid()?;
        node.kill().await?;
        for _ in 0..10 {
            assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        }
        chat.say("still there?").await?;
        let (started, mark) = (Instant::now(), ztunnel.mark());
        node.start()?;
        // Whatever it does about the one that runs, nobody waits for it.
        while started.elapsed() < Duration::from_secs(2) {
            assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        }
        ztunnel.logs("program of a former supervisor goes on").since(mark).await?;
        mesh.ready().await?;
        assert_eq!(ztunnel.pids(), [pid], "one ztunnel, and the same");
        chat.say("and now?").await?;
        // It is supervised again, and pods come and go.
        ztunnel.kill()?;
        eventually("another takes its place", PATIENCE, async || {
            ztunnel.pid().is_ok_and(|new| new != pid) && mesh.ready().await.is_ok()
        }).await?;
        let late = mesh.pod("shop/late").on("node-b").echoing().enrolled().await?;
        web.is_seen_as(late.at4(7)).await?;
        node.stop().await?;
        assert_eq!(ztunnel.pids(), [] as [i32; 0], "stopped in order, it takes it along");
        Ok(())
    }

    async fn of_endpoints_that_all_fail_so_many_are_tried(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        for n in 0..5 {
            // Nothing listens there.
            mesh.pod(&format!("shop/store-{n}")).on("node-b").labelled("app", "store").enrolled()
                .await?;
        }
        let service = mesh.service("shop/store").port(80, 8080).create()?;
        mesh.has_service(&service).await?;
        let node = mesh.node("node-b")?;
        let mark = node.mark();
        assert!(web.asks((service.ip4, 80).into(), "x").await.is_err());
        let failed = [("reporter", "source"), ("destination_service", &*service.host)];
        let counted = async || -> anyhow::Result<f64> {
            let metrics = web.ztunnel()?.metrics().await?;
            Ok(metrics.sum("istio_tcp_connections_failed_total", &failed))
        };
        let has_failed = async || counted().await.is_ok_and(|failed| failed >= 1.0);
        eventually("the connection is said to have failed", PATIENCE, has_failed).await?;
        let refused = node.logs("connection complete").since(mark).with("direction", "inbound");
        let refused = refused.all();
        assert_eq!(refused.len(), 3, "{refused:#?}");
        Ok(())
    }

    async fn a_cut_link_is_survived(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let mut chat = web.chat(store.at4(7)).await?;
        let cut = mesh.link()?.cut()?;
        let short = Duration::from_millis(300);
        assert!(tokio::time::timeout(short, web.is_seen_as(store.at4(7))).await.is_err());
        cut.heal()?;
        eventually("new connections work", PATIENCE, async || {
            web.is_seen_as(store.at4(7)).await.is_ok()
        }).await?;
        chat.say("still there?").await?;
        Ok(())
    }
}
