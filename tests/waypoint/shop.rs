//! The usual case of these tests.

use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// A client `shop/web` and a web server `shop/store` on two nodes.
pub(crate) struct Shop {
    pub(crate) mesh: Mesh,
    pub(crate) web: MeshPod,
    pub(crate) store: MeshPod,
}

impl Shop {
    /// A client and a web server; nothing is bound to a waypoint yet.
    pub(crate) async fn open(bed: &Testbed) -> anyhow::Result<Self> {
        let mesh = Mesh::start(bed, AMBIT).await?;
        let store = mesh.pod("shop/store").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let files = bed.directory("www")?;
        std::fs::write(files.join("orders"), "one book")?;
        std::fs::write(files.join("admin"), "all books")?;
        let server = ["-m", "http.server", "8080", "--bind", "::", "--directory"];
        store.serve(&store.command("python3").args(server).arg(&files), 8080).await?;
        let service = mesh.service("shop/store").named_port("http", 80, 8080).create()?;
        mesh.has_service(&service).await?;
        Ok(Self { mesh, web, store })
    }

    /// Binds the namespace to a waypoint that is there, and waits until it serves.
    pub(crate) async fn bind(&self) -> anyhow::Result<MeshPod> {
        let waypoint = self.mesh.waypoint("shop/waypoint", "node-b").await?;
        self.mesh.use_waypoint("shop", Some("waypoint"))?;
        self.mesh.has_waypoint(&self.store, true).await?;
        let what = "the store is reached through its waypoint";
        self.until(what, &self.web, "http://store/orders", Some(200)).await?;
        Ok(waypoint)
    }

    /// Waits until a request is answered so; no status is a refusal.
    pub(crate) async fn until(
        &self,
        what: &str,
        client: &MeshPod,
        url: &str,
        wanted: Option<u16>,
    ) -> anyhow::Result<()> {
        let waited =
            eventually(what, PATIENCE, async || get(client, url).await.ok() == Some(wanted));
        if waited.await.is_err() {
            anyhow::bail!("{what}: {url} answers {:?}, not {wanted:?}", get(client, url).await?);
        }
        Ok(())
    }

    /// The server's own address.
    pub(crate) fn by_pod(&self) -> String {
        format!("http://{}/orders", self.store.at4(8080))
    }
}

/// The status of the answer; none if the connection was refused or reset.
pub(crate) async fn get(client: &MeshPod, url: &str) -> anyhow::Result<Option<u16>> {
    let args = ["--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5", url];
    let status = client.curl(args).await?.text();
    Ok(status.parse().ok().filter(|status| *status != 0))
}
