//! A policy that turns against what runs through a waypoint ends it, and nothing else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::app::{self, Answer};
use crate::grpc::{Stream, serve};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// From the change of a file to its effect.
const EFFECT: Duration = Duration::from_secs(1);
/// How long a byte may take on its way.
const SOON: Duration = Duration::from_secs(10);

fn no_web(service: &str, web: &MeshPod) -> Value {
    let spec = json!({
        "targetRefs": [{"kind": "Service", "group": "", "name": service}],
        "rules": [from_principals(&[&web.principal()])],
    });
    authorization_policy(("shop", "no-web"), "DENY", spec)
}

/// A download that never ends, after its first bytes.
async fn download(client: &MeshPod, to: std::net::SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = client.connect(to).await?;
    stream.write_all(b"GET /film HTTP/1.1\r\nHost: films\r\n\r\n").await?;
    goes_on(&mut stream).await?;
    Ok(stream)
}

/// More of a download comes.
async fn goes_on(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut read = vec![0; 4096];
    let n = timeout(SOON, stream.read(&mut read)).await??;
    let text = String::from_utf8_lossy(read.get(..n).unwrap_or_default()).into_owned();
    anyhow::ensure!(text.contains("drip") || text.starts_with("HTTP/1.1 200"), "{text:?}");
    Ok(())
}

/// Reads until the download ends; what ends it is no end of the body.
async fn is_cut(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    while let Ok(n) = timeout(EFFECT, stream.read_buf(&mut rest)).await? {
        if n == 0 {
            break;
        }
    }
    anyhow::ensure!(!rest.ends_with(b"0\r\n\r\n"), "it ended in order");
    Ok(())
}

testbed::scenario! {
    async fn a_newly_denied_client_loses_its_download_and_its_grpc_stream(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let mesh = Mesh::start(&bed, AMBIT).await?;
        let films = mesh.pod("shop/films").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let other = mesh.pod("shop/other").on("node-a").enrolled().await?;
        app::serve(&films, |_, _| Answer::Drip)?;
        serve(&films)?;
        let ports = mesh.service("shop/films").named_port("http", 80, 8080);
        let service = ports.named_port("grpc", 9000, 9000).create()?;
        let waypoint = mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&films, true).await?;
        mesh.has_service(&service).await?;

        let mut streams = Vec::new();
        for client in [&web, &other] {
            let stream = Stream::open(client, service.at4(9000)).await?;
            let mut film = None;
            eventually("a download begins", PATIENCE, async || {
                film = download(client, service.at4(80)).await.ok();
                film.is_some()
            }).await?;
            streams.push((stream, film.ok_or_else(|| anyhow::anyhow!("no download"))?));
        }
        let (mut kept, mut kept_film) = streams.pop().ok_or_else(|| anyhow::anyhow!("two"))?;
        let (mut denied, mut denied_film) = streams.pop().ok_or_else(|| anyhow::anyhow!("two"))?;

        mesh.apply(&no_web("films", &web))?;
        let changed = Instant::now();
        let (film, stream) = tokio::join!(is_cut(&mut denied_film), denied.is_reset(EFFECT));
        film?;
        stream?;
        assert!(changed.elapsed() < EFFECT, "{:?}", changed.elapsed());
        kept.ping("still there?").await?;
        goes_on(&mut kept_film).await?;

        // Each says who ended it.
        for path in ["/film", Stream::PATH] {
            mesh.node("node-b")?.logs("request").with("path", path)
                .with("src.identity", web.identity())
                .with("response_code_details", "policy_changed")
                .with("policy", "AuthorizationPolicy/shop/no-web").await?;
        }
        let of_other = mesh.node("node-b")?.logs("request").with("src.identity", other.identity());
        assert!(of_other.with("response_code_details", "policy_changed").all().is_empty());
        drop(waypoint);

        mesh.remove("AuthorizationPolicy", "shop", "no-web")?;
        eventually("new ones open again", PATIENCE, async || {
            download(&web, service.at4(80)).await.is_ok()
        }).await?;
        kept.ping("still there?").await?;
        Ok(())
    }
}
