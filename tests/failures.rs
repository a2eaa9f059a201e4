//! Programs of the mesh die; traffic goes on or comes back.

use std::time::{Duration, Instant};

use testbed::{Mesh, MeshPod, Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const SOON: Duration = Duration::from_secs(20);

async fn web_and_store(mesh: &Mesh) -> anyhow::Result<(MeshPod, MeshPod)> {
    let store = mesh.pod("shop/store").on("node-b").enrolled().echoing().await?;
    let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
    Ok((web, store))
}

async fn talks(web: &MeshPod, store: &MeshPod) -> anyhow::Result<bool> {
    let echo = web.load("echo", store.at4(7))?.args(["--bytes", "1000"]);
    Ok(echo.run(SOON).await?.success().is_ok())
}

testbed::scenario! {
    async fn new_connections_work_again_two_seconds_after_a_ztunnel_was_killed(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        for node in ["node-b", "node-a"] {
            assert!(talks(&web, &store).await?);
            let capture = mesh.link()?.capture()?;
            let killed = Instant::now();
            mesh.node(node)?.ztunnel().kill()?;
            while !talks(&web, &store).await? {
                anyhow::ensure!(killed.elapsed() < Duration::from_secs(2), "{node}: still down");
            }
            assert!(killed.elapsed() < Duration::from_secs(2), "{node}: {:?}", killed.elapsed());
            // It failed closed: nothing went in the clear meanwhile.
            capture.stop().await?.holds_only_tls_to(15008)?;
        }
        Ok(())
    }

    async fn traffic_goes_on_without_a_control_plane_and_a_later_pod_is_reachable_after_its_return(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let chat = web.load("chat", store.at4(7))?.args(["--messages", "150", "--interval", "20"]);
        let chat = chat.spawn()?;
        mesh.control().kill().await?;
        for _ in 0..5 {
            assert!(talks(&web, &store).await?, "new connections without control");
        }
        chat.wait(SOON).await?.success()?;

        mesh.control().start()?;
        mesh.control().ready().await?;
        let late = mesh.pod("shop/late").on("node-b").enrolled().echoing().await?;
        assert!(talks(&web, &late).await?);
        assert!(talks(&web, &store).await?);
        Ok(())
    }

    async fn certificates_rotate_under_load_with_no_failed_request(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::options(AMBIT).node_env("SECRET_TTL", "4s").start(&bed).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let issued = async || -> Option<f64> {
            let metrics = mesh.control().metrics().await.ok()?;
            Some(metrics.sum("citadel_server_success_cert_issuance_count_total", &[]))
        };
        let before = issued().await.unwrap_or_default();
        let began = Instant::now();
        // Each of them is a new connection; a pooled tunnel would hide a bad certificate, so
        // the load goes on for several lives of one.
        while began.elapsed() < Duration::from_secs(12) {
            assert!(talks(&web, &store).await?, "after {:?}", began.elapsed());
        }
        eventually("certificates were renewed", SOON, async || {
            issued().await.is_some_and(|now| now >= before + 6.0)
        }).await?;
        Ok(())
    }
}
