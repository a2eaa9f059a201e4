//! Many bytes, many connections, and connections that end in halves.

use std::time::Duration;

use testbed::{Mesh, MeshPod, Testbed};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const LONG: Duration = Duration::from_secs(240);

async fn web_and_store(mesh: &Mesh) -> anyhow::Result<(MeshPod, MeshPod)> {
    let store = mesh.pod("shop/store").on("node-b").enrolled().echoing().await?;
    let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
    Ok((web, store))
}

testbed::scenario! {
    within 400;
    async fn a_gibibyte_arrives_byte_for_byte_both_ways_at_once(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let bytes = (1_u64 << 30).to_string();
        // Every byte is checked against the pattern as it comes back.
        let echo = web.load("echo", store.at4(7))?.args(["--bytes", &bytes]);
        echo.run(LONG).await?.success()?;
        let metrics = store.ztunnel()?.metrics().await?;
        let of = [("reporter", "destination"), ("connection_security_policy", "mutual_tls")];
        assert!(metrics.sum("istio_tcp_received_bytes_total", &of) >= (1_u64 << 30) as f64);
        assert!(metrics.sum("istio_tcp_sent_bytes_total", &of) >= (1_u64 << 30) as f64);
        Ok(())
    }

    async fn a_client_that_shuts_down_its_write_side_still_reads_the_answer(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        // The server answers only after the client's end of file.
        for address in [store.at4(7), store.at6(7)] {
            let upload = web.load("upload", address)?.args(["--bytes", "3000000"]);
            upload.run(LONG).await?.success()?;
        }
        Ok(())
    }

    async fn a_thousand_connections_live_at_once_through_one_pair_of_proxies(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let (web, store) = web_and_store(&mesh).await?;
        let open = web.load("open", store.at4(7))?.args(["--connections", "1000"]).piped();
        let mut open = open.spawn()?;
        open.logs("1000 open", LONG).await?;
        let metrics = store.ztunnel()?.metrics().await?;
        let of = [("reporter", "destination"), ("connection_security_policy", "mutual_tls")];
        let opened = metrics.sum("istio_tcp_connections_opened_total", &of);
        let closed = metrics.sum("istio_tcp_connections_closed_total", &of);
        assert!(opened - closed >= 1000.0, "{opened} opened, {closed} closed");
        // Each of them says another line and is answered.
        drop(open.stdin());
        open.wait(LONG).await?.success()?;
        Ok(())
    }
}
