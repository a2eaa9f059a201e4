//! On a real terminal: colours, and `ambit top` with keys, in tmux(1).

use std::path::PathBuf;
use std::time::Duration;

use testbed::mesh::{PATIENCE, Pair};
use testbed::{Testbed, eventually};

use crate::said::{AMBIT, ambit};

/// A terminal of 150 by 40 with a shell in it.
struct Screen {
    bed: Testbed,
    socket: PathBuf,
}

impl Screen {
    async fn open(bed: &Testbed, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let number = environment.len();
        let socket = bed.directory("tmux")?.join(format!("socket-{number}"));
        let screen = Self { bed: bed.clone(), socket };
        let mut start = vec!["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40"];
        let pairs: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for pair in &pairs {
            start.extend(["-e", pair]);
        }
        start.extend(["env", "KUBECONFIG=", "HOME=/nonexistent", "PS1=$ ", "sh"]);
        screen.tmux(&start).await?;
        Ok(screen)
    }

    async fn tmux(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let tmux = self.bed.command("tmux").arg("-S").arg(&self.socket).args(arguments);
        Ok(tmux.env("TERM", "xterm-256color").run(Duration::from_secs(10)).await?.success()?)
    }

    async fn types(&self, keys: &[&str]) -> anyhow::Result<()> {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments).await.map(drop)
    }

    /// Waits until the screen is such; `codes` shows colours too.
    async fn shows(
        &self,
        what: &str,
        codes: bool,
        is: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let mut last = String::new();
        let how: &[&str] =
            if codes { &["capture-pane", "-p", "-e"] } else { &["capture-pane", "-p"] };
        let waited = eventually(what, PATIENCE, async || {
            last = self.tmux(how).await.unwrap_or_default();
            is(&last)
        });
        waited.await.map_err(|late| anyhow::anyhow!("{late}:\n{last}"))?;
        Ok(())
    }
}

testbed::scenario! {
    async fn colours_are_for_terminals_that_want_them(bed: Testbed) -> anyhow::Result<()> {
        let _pair = Pair::enrolled(&bed, AMBIT).await?;
        let status = format!("{AMBIT} status -n shop; echo ended");
        let coloured = Screen::open(&bed, &[]).await?;
        coloured.types(&[&status, "Enter"]).await?;
        coloured.shows("green", true, |text| text.contains("\u{1b}[32menrolled")).await?;
        let plain = Screen::open(&bed, &[("NO_COLOR", "1")]).await?;
        plain.types(&[&status, "Enter"]).await?;
        plain.shows("no colour", true, |text| {
            text.contains("enrolled") && text.contains("\nended") && !text.contains("\u{1b}[32m")
        }).await
    }

    async fn top_is_steered_by_keys(bed: Testbed) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let _open = pair.web.chat(pair.store.at4(7)).await?;
        ambit(&bed, "top").await?.ends(2).complains("needs a terminal");
        let screen = Screen::open(&bed, &[]).await?;
        screen.types(&[&format!("{AMBIT} top --interval 1s; echo ended $?"), "Enter"]).await?;
        screen.shows("workloads", false, |text| {
            text.contains("3 workloads") && text.contains("shop") && text.contains("web") && text.contains("BYTES v")
        }).await?;
        // Down to the connections of one.
        screen.types(&["/", "web", "Enter"]).await?;
        screen.shows("only web", false, |text| text.contains("filter: web") && !text.contains("store")).await?;
        screen.types(&["Enter"]).await?;
        screen.shows("its connections", false, |text| {
            text.contains("> workload shop/web-1") && text.contains("shop/store") && text.contains("mtls")
        }).await?;
        screen.types(&["Escape"]).await?;
        screen.shows("back", false, |text| text.contains("store") && !text.contains("> workload")).await?;
        // Nodes, and what is on one.
        screen.types(&["1"]).await?;
        screen.shows("nodes", false, |text| {
            text.contains("node-a") && text.contains("node-b") && text.contains("ready") && text.contains("MiB")
        }).await?;
        screen.types(&["j", "Enter"]).await?;
        screen.shows("those of node-b", false, |text| {
            text.contains("> node node-b") && text.contains("store") && !text.contains("web")
        }).await?;
        screen.types(&["?"]).await?;
        screen.shows("help", false, |text| text.contains("the other way round")).await?;
        screen.types(&["?", "2"]).await?;
        screen.shows("namespaces", false, |text| text.contains("NAMESPACE") && text.contains("WORKLOADS")).await?;
        // What goes away is said, and what was known stays.
        pair.mesh.control().kill().await?;
        screen.shows("not of now", false, |text| text.contains("not of now") && text.contains("shop")).await?;
        screen.types(&["q"]).await?;
        screen.shows("the shell again", false, |text| text.contains("ended 0")).await
    }
}
