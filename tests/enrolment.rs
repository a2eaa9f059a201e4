//! Into the mesh and out of it, while programs run.

use std::time::Duration;

use testbed::link::Fault;
use testbed::mesh::{Chat, Mesh, MeshPod, PATIENCE, Pair};
use testbed::{Process, Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// In which a proxy finds that the other end of a tunnel is gone, and some more.
const DEAD_TUNNEL: Duration = Duration::from_secs(20);

/// A download that takes long on a slow link, and a chat: both checked to their end.
struct Open {
    slow: Fault,
    download: Process,
    chat: Chat,
}

impl Open {
    async fn start(mesh: &Mesh, web: &MeshPod, store: &MeshPod) -> anyhow::Result<Self> {
        // 60 MB take 12 s, more than any change of enrolment.
        let slow = mesh.link()?.rate(40)?;
        let download = web.load("download", store.at4(7))?.args(["--bytes", "60000000"]).spawn()?;
        let chat = web.chat(store.at6(7)).await?;
        eventually("both are connected", PATIENCE, async || connections(web) >= 2).await?;
        Ok(Self { slow, download, chat })
    }

    async fn end_well(mut self) -> anyhow::Result<()> {
        assert!(self.download.is_running(), "{}", self.download.stdout());
        self.chat.say("still there?").await?;
        self.slow.heal()?;
        self.download.wait(PATIENCE).await?.success()?;
        self.chat.say("and now?").await?;
        Ok(())
    }
}

/// Established connections of a pod to port 7.
fn connections(pod: &MeshPod) -> usize {
    let count = |family: &str| {
        let pid = pod.netns().processes().first().copied().unwrap_or_default();
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{family}"));
        let table = table.unwrap_or_default();
        table
            .lines()
            .filter(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields.get(2).is_some_and(|to| to.ends_with(":0007"))
                    && fields.get(3) == Some(&"01")
            })
            .count()
    };
    count("tcp") + count("tcp6")
}

testbed::scenario! {
    async fn enrolling_by_label_turns_plaintext_into_tls(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::plain(&bed, AMBIT).await?;
        let capture = mesh.link()?.capture()?;
        web.chat(store.at4(7)).await?.say("attack at dawn").await?;
        assert!(capture.stop().await?.contains(b"attack at dawn"), "plaintext before");

        mesh.enrol("shop")?;
        web.is_enrolled().await?;
        store.is_enrolled().await?;
        let capture = mesh.link()?.capture()?;
        web.chat(store.at4(7)).await?.say("attack at dawn").await?;
        let recording = capture.stop().await?;
        assert!(recording.holds_only_tls_to(15008)? > 0);
        assert!(!recording.contains(b"attack"));
        Ok(())
    }

    async fn enrolling_cuts_no_open_connection(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::plain(&bed, AMBIT).await?;
        let open = Open::start(&mesh, &web, &store).await?;
        mesh.enrol("shop")?;
        web.is_enrolled().await?;
        store.is_enrolled().await?;
        let seen = web.is_seen_as(store.at4(7)).await?;
        assert_eq!(seen, web.ip4().to_string());
        store.ztunnel()?.logs("connection complete").with("src.identity", web.identity()).await?;
        open.end_well().await?;
        Ok(())
    }

    async fn leaving_cuts_no_open_connection(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let open = Open::start(&mesh, &web, &store).await?;
        mesh.unenrol("shop")?;
        web.is_plain().await?;
        store.is_plain().await?;
        let capture = mesh.link()?.capture()?;
        web.chat(store.at4(7)).await?.say("attack at dawn").await?;
        assert!(capture.stop().await?.contains(b"attack at dawn"), "new ones are plain");
        open.end_well().await?;
        Ok(())
    }

    async fn a_pod_that_leaves_and_comes_back_is_protected_again(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let mut chats = Vec::new();
        for _ in 0..3 {
            chats.push(web.chat(store.at4(7)).await?);
            mesh.unenrol("shop")?;
            web.is_plain().await?;
            store.is_plain().await?;
            chats.push(web.chat(store.at4(7)).await?);
            mesh.enrol("shop")?;
            web.is_enrolled().await?;
            store.is_enrolled().await?;
            for chat in &mut chats {
                chat.say("still there?").await?;
            }
        }
        let capture = mesh.link()?.capture()?;
        web.chat(store.at4(7)).await?;
        assert!(capture.stop().await?.holds_only_tls_to(15008)? > 0);
        Ok(())
    }

    async fn a_pod_s_own_label_wins_over_its_namespace_s(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, web, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        store.label("istio.io/dataplane-mode", Some("none"))?;
        store.is_plain().await?;
        assert_eq!(web.is_seen_as(store.at4(7)).await?, web.ip4().to_string());
        let alone = mesh.pod("legacy/alone").on("node-b").echoing()
            .labelled("istio.io/dataplane-mode", "ambient").await?;
        alone.is_enrolled().await?;
        web.is_seen_as(alone.at4(7)).await?;
        alone.ztunnel()?.logs("connection complete").with("src.identity", web.identity()).await?;
        Ok(())
    }

    async fn a_deleted_pod_s_connections_end_and_its_name_is_free_again(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { web, store, mesh, .. } = Pair::enrolled(&bed, AMBIT).await?;
        let mut chat = web.chat(store.at4(7)).await?;
        store.delete().await?;
        // At once, unless the link went before the last packet: then a dead tunnel is found.
        chat.is_ended(DEAD_TUNNEL).await?;
        // Its name and its node's next pod are as good as new.
        let again = mesh.pod("shop/store").on("node-b").echoing().enrolled().await?;
        web.is_seen_as(again.at4(7)).await?;
        Ok(())
    }
}
