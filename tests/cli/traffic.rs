//! What was carried, refused and changed: edges, audit, tap, dashboard.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, from_principals};
use testbed::mesh::{PATIENCE, Pair};
use testbed::{Process, Testbed, eventually};

use crate::said::{AMBIT, Said, ambit, command};

/// From what happens to its line.
const SHOWN: Duration = Duration::from_secs(3);

fn no_web(pair: &Pair) -> Value {
    let spec = json!({"selector": {"matchLabels": {"app": "store"}},
        "rules": [from_principals(&[&pair.web.principal()])]});
    authorization_policy(("shop", "no-web"), "DENY", spec)
}

/// Waits until a run says a line with all of these words.
async fn says(bed: &Testbed, arguments: &str, words: &[&str]) -> anyhow::Result<Said> {
    let mut last = None;
    let waited = eventually(format!("{arguments} says {words:?}"), PATIENCE, async || {
        let Ok(said) = ambit(bed, arguments).await else { return false };
        let found = said.out.lines().any(|line| words.iter().all(|word| line.contains(word)));
        last = Some(said);
        found
    });
    waited.await.map_err(|late| anyhow::anyhow!("{late}: {last:#?}"))?;
    last.ok_or_else(|| anyhow::anyhow!("it never ran"))
}

/// Waits until a program has written a line with all of these words.
async fn writes(process: &Process, words: &[&str]) -> anyhow::Result<()> {
    let what = format!("a line with {words:?}");
    let waited = eventually(what, SHOWN, async || {
        process.stdout().lines().any(|line| words.iter().all(|word| line.contains(word)))
    });
    waited
        .await
        .map_err(|late| anyhow::anyhow!("{late}: {}\n{}", process.stdout(), process.stderr()))?;
    Ok(())
}

testbed::scenario! {
    async fn who_talks_to_whom_and_who_was_refused(bed: Testbed) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let (mesh, web, store) = (&pair.mesh, &pair.web, &pair.store);
        let outsider = mesh.pod("legacy/printer").on("node-a").await?;
        for _ in 0..3 {
            web.is_seen_as(store.at4(7)).await?;
            outsider.is_seen_as(store.at4(7)).await?;
        }
        let said = says(&bed, "edges", &["shop/web-1", "shop/store-1", "7", "mtls", "ago"]).await?;
        said.has(&["shop/store", "plain"]);
        says(&bed, "edges -o wide --workload shop/web*", &["mtls", &web.identity()]).await?;
        let json = ambit(&bed, "edges -o json --workload shop/web-1").await?.ends(0).json();
        let edge = &json["edges"][0];
        assert!(edge["totals"]["opened"].as_u64() >= Some(3), "{json:#}");
        assert!(edge["firstMs"].as_i64() > Some(0) && edge["firstMs"].as_i64() <= edge["lastMs"].as_i64(), "{json:#}");
        ambit(&bed, "edges --workload shop/wbe-1").await?.ends(4)
            .complains("no workload 'shop/wbe-1'; did you mean shop/web-1?");
        ambit(&bed, "edges --since 40d").await?.ends(2).complains("31d");
        ambit(&bed, "audit").await?.ends(0).has(&["nothing was refused"]);

        mesh.apply(&no_web(&pair))?;
        mesh.policy_is_known("shop/no-web", true).await?;
        eventually("web is refused", PATIENCE, async || web.is_seen_as(store.at4(7)).await.is_err()).await?;
        let said = says(&bed, "audit -o wide", &["refused", "shop/web", "shop/store", "shop/no-web", &web.identity()]).await?;
        said.has(&["destination ztunnel", "node-b"]);
        ambit(&bed, "audit --policies").await?.ends(0).has(&["shop/no-web", "DENY", "ztunnel"]);
        ambit(&bed, "audit --policy shop/no-web --refused").await?.ends(0).has(&["refused", "shop/web"]);
        ambit(&bed, "audit --policy shop/no-wbe").await?.ends(4).complains("did you mean shop/no-web?");
        ambit(&bed, "audit -n legacy").await?.ends(0).has(&["nothing was refused"]);

        // Without control each proxy is asked itself.
        mesh.control().kill().await?;
        let said = ambit(&bed, "audit").await?.ends(0);
        said.has(&["refused", "shop/web", "shop/no-web"]).complains("each proxy is asked itself");
        ambit(&bed, "edges").await?.ends(0).has(&["shop/web", "shop/store", "mtls"]);
        Ok(())
    }

    async fn what_happens_is_shown_as_it_happens(bed: Testbed) -> anyhow::Result<()> {
        let pair = Pair::enrolled(&bed, AMBIT).await?;
        let (mesh, web, store) = (&pair.mesh, &pair.web, &pair.store);
        let tap = command(&bed, "tap -n shop").spawn()?;
        let failed = command(&bed, "tap --failed -o json --policy shop/no-web").spawn()?;
        // Until both follow: what was open before is not news.
        eventually("a connection is seen", PATIENCE, async || {
            let chat = web.chat(store.at4(7)).await;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            drop(chat);
            tap.stdout().contains("opened")
        }).await?;
        writes(&tap, &["opened", "shop/web", "mtls"]).await?;
        writes(&tap, &["closed", "shop/web", "sent"]).await?;
        mesh.apply(&no_web(&pair))?;
        mesh.policy_is_known("shop/no-web", true).await?;
        eventually("web is refused", PATIENCE, async || web.is_seen_as(store.at4(7)).await.is_err()).await?;
        writes(&tap, &["refused", "shop/web", "policy shop/no-web", &web.identity()]).await?;
        writes(&failed, &["\"what\":\"failed\"", "shop/no-web"]).await?;
        for line in failed.stdout().lines() {
            let line: Value = serde_json::from_str(line)?;
            assert_eq!(line["of"]["key"]["policy"], "shop/no-web", "{line}");
        }
        ambit(&bed, "tap --for 1s").await?.ends(0);
        ambit(&bed, "tap -o yaml").await?.ends(2);
        let counted = command(&bed, "tap --failed --count 1").spawn()?;
        let provoke = async {
            loop {
                assert!(web.is_seen_as(store.at4(7)).await.is_err());
            }
        };
        // It may not follow yet: refusals come until one is counted.
        let counted: Said = tokio::select! {
            ended = counted.wait(PATIENCE) => ended?.into(),
            () = provoke => unreachable!("it has no end"),
        };
        assert_eq!(counted.ends(0).out.lines().count(), 1);
        // What is followed goes away: it is said, and is a failure.
        mesh.control().kill().await?;
        let ended: Said = tap.wait(Duration::from_secs(20)).await?.into();
        ended.ends(1).complains("ambit");
        Ok(())
    }

    async fn the_pages_are_led_to_a_browser(bed: Testbed) -> anyhow::Result<()> {
        let _pair = Pair::enrolled(&bed, AMBIT).await?;
        ambit(&bed, "dashboard --no-open").await?.ends(0).has(&["http://127.0.0.1:15016/ui/"]);
        let dashboard = command(&bed, "dashboard --no-open --node node-b").spawn()?;
        let mut url = String::new();
        eventually("it says where", PATIENCE, async || {
            url = dashboard.stdout().lines().next().unwrap_or_default().to_owned();
            !url.is_empty()
        }).await?;
        let about = url.replace("/ui/", "/api/v1/about");
        for _ in 0..3 {
            let asked = bed.command("curl").args(["--silent", "--fail", "--max-time", "5", &about]);
            let about: Value = serde_json::from_str(&asked.run(PATIENCE).await?.success()?)?;
            assert_eq!(about["scope"], "node", "{about:#}");
            assert_eq!(about["origins"][0]["node"], "node-b", "{about:#}");
        }
        ambit(&bed, "dashboard --node node-c").await?.ends(4).complains("did you mean node-a or node-b?");
        Ok(())
    }
}
