//! Unmodified programs talk through the mesh; what is on the wire, and who is seen.


use testbed::{Mesh, Testbed};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

testbed::scenario! {
    async fn curl_reaches_a_web_server_of_another_node(bed: Testbed) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let store = mesh.pod("shop/store").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        mesh.service("shop/store").port(80, 8080).create()?;
        let files = bed.directory("www")?;
        std::fs::write(files.join("index.html"), "attack at dawn\n")?;
        let server = ["-m", "http.server", "8080", "--bind", "::", "--directory"];
        store.serve(&store.command("python3").args(server).arg(&files), 8080).await?;
        let capture = mesh.link()?.capture()?;
        let page = web.curl(["http://store/"]).await?.success()?;
        assert_eq!(page, "attack at dawn\n");
        let recording = capture.stop().await?;
        let bytes = recording.holds_only_tls_to(15008)?;
        assert!(bytes > 500, "{bytes} bytes of TLS");
        Ok(())
    }
}
