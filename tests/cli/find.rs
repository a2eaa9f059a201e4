//! Which mesh is meant, names that are wrong, formats, exit codes.

use std::process::{Command, Stdio};

use serde_json::json;
use testbed::mesh::Pair;
use testbed::{Testbed, eventually};

use crate::said::{AMBIT, ambit, command};

/// A server that is what an older or hostile peer would be: it answers what it is told to.
const PEER: &str = r#"
import http.server, json, sys
pages = json.loads(sys.argv[2])
class Peer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = pages.get(self.path)
        self.send_response(404 if page is None else 200)
        body = (page if isinstance(page, str) else json.dumps(page)).encode()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
print("up", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Peer).serve_forever()
"#;

#[test]
fn the_command_line_serves_shells_and_manuals() {
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let done = done.expect("it is built");
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = run(AMBIT, &["completions", shell]);
        assert!(code == Some(0) && script.contains("enroll"), "{shell}: {script:.200}");
        assert!(!script.contains("node-agent"), "daemons are not typed: {shell}");
    }
    let (code, page) = run(AMBIT, &["man"]);
    assert!(code == Some(0) && page.contains(".TH ambit 1"), "{page:.200}");
    let pages = std::env::temp_dir().join(format!("ambit-man-{}", std::process::id()));
    let (code, _) = run(AMBIT, &["man", "--directory", &pages.display().to_string()]);
    assert_eq!(code, Some(0));
    for page in ["ambit.1", "ambit-check.1", "ambit-proxy-diff.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
    let plugin = pages.join("kubectl-ambit");
    std::os::unix::fs::symlink(AMBIT, &plugin).expect("a link");
    let (code, help) = run(&plugin.display().to_string(), &["--help"]);
    assert!(code == Some(0) && help.contains("Usage: kubectl ambit <COMMAND>"), "{help}");
    std::fs::remove_dir_all(pages).expect("it is ours");
}

testbed::scenario! {
    async fn without_a_mesh_one_sentence_says_what_to_give(bed: Testbed) -> anyhow::Result<()> {
        for arguments in ["status", "check", "proxy workloads", "waypoint list"] {
            let said = ambit(&bed, arguments).await?.ends(1);
            said.complains("no mesh found").complains("ambit demo").complains("--kubeconfig");
            assert_eq!(said.err.lines().count(), 1, "{said:?}");
        }
        ambit(&bed, "version").await?.ends(5).has(&["ambit", env!("CARGO_PKG_VERSION")]);
        ambit(&bed, "version --client").await?.ends(0);
        ambit(&bed, "status --run nope").await?.ends(1).complains("no run \"nope\" is up");
        ambit(&bed, "status --admin 127.0.0.1:9").await?.ends(1).complains("cannot reach 127.0.0.1:9");
        ambit(&bed, "status --run a --directory b").await?.ends(2);
        ambit(&bed, "status -n a -A").await?.ends(2);
        ambit(&bed, "status --kubeconfig /nonexistent").await?.ends(1)
            .complains("the kubeconfig /nonexistent");
        ambit(&bed, "enroll a/b/c").await?.ends(2).complains("NAMESPACE/POD");
        Ok(())
    }

    async fn a_mesh_is_found_by_itself_and_shown_in_every_format(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, web, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.pod("legacy/printer").on("node-a").await?;
        let said = ambit(&bed, "version").await?.ends(0);
        said.has(&["control"]).has(&["ztunnel", "node-a"]).has(&["no skew"]);
        let said = ambit(&bed, "status").await?.ends(0);
        said.has(&["shop", "web", "node-a", "namespace label", "enrolled", "yes"])
            .has(&["legacy", "printer", "not enrolled"])
            .has(&["namespace shop", "2 wanted, 2 enrolled, 2 proven"]);
        assert!(!said.out.contains('\u{1b}'), "no colour where no terminal is: {said:?}");
        ambit(&bed, "status -o wide").await?.ends(0).has(&["web", &web.identity()]);
        let json = ambit(&bed, "status -o json -n shop").await?.ends(0).json();
        assert_eq!(json["pods"].as_array().map(Vec::len), Some(2), "{json:#}");
        assert_eq!(json["pods"][0]["proof"], json!({"is": "proven"}));
        let yaml = ambit(&bed, "status -o yaml -n shop").await?.ends(0);
        yaml.has(&["namespace: shop"]).has(&["state: enrolled"]);
        ambit(&bed, "status -n shp").await?.ends(4).complains("did you mean shop?");
        // The same mesh, named in each of the other ways.
        let directory = mesh.manifests().path().display().to_string();
        for place in [format!("--directory {directory}"), "--control 127.0.0.1:15016".to_owned()] {
            ambit(&bed, &format!("status {place} -n shop")).await?.ends(0).has(&["web", "enrolled", "yes"]);
        }
        let one = ambit(&bed, "version --admin 127.0.0.1:15016").await?.ends(0);
        one.has(&["control"]);
        assert!(!one.out.contains("ztunnel"), "{one:?}");
        Ok(())
    }

    async fn without_control_labels_still_tell_who_should_take_part(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let Pair { mesh, .. } = Pair::enrolled(&bed, AMBIT).await?;
        mesh.control().kill().await?;
        let directory = mesh.manifests().path().display().to_string();
        let said = ambit(&bed, &format!("status --directory {directory}")).await?.ends(5);
        said.has(&["shop", "web", "namespace label", "pending", "yes"])
            .has(&["no answer", "no control plane"]);
        Ok(())
    }

    async fn an_older_peer_and_hostile_names_harm_nobody(bed: Testbed) -> anyhow::Result<()> {
        let hostile = "we\u{1b}[2J\u{9b}3Jb\u{202e}<b>\n";
        let pages = json!({
            "/debug/status": {"synced": true, "objects": {}, "problems": [], "new": 1},
            "/debug/mesh": {"version": "0.0.9", "pods": [{"namespace": "shop", "name": hostile,
                "node": "node-a", "enrol": true, "label": "pod", "reason": hostile, "state": "Failed"}]},
            "/metrics": "istio_build{component=\"control\",tag=\"0.0.9\"} 1\n",
            "/ready": "ready\n",
        });
        let mut peer = bed.command("python3").args(["-c", PEER, "15016"]).arg(pages.to_string()).spawn()?;
        peer.logs("up", std::time::Duration::from_secs(10)).await?;
        let at = "--control 127.0.0.1:15016 --directory /run/bed";
        let said = ambit(&bed, &format!("version {at}")).await?.ends(0);
        said.has(&["control", "0.0.9"]).has(&["skew: the mesh runs 0.0.9"]);
        ambit(&bed, &format!("check {at}")).await?.ends(3).has(&["warning version-skew"]);
        for format in ["table", "wide", "json", "yaml"] {
            let said = ambit(&bed, &format!("status {at} -o {format}")).await?;
            assert!(said.code == Some(0), "{said:?}");
            let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!said.out.contains(acts) && said.out.contains("we"), "{format}: {said:?}");
            if format == "json" {
                assert_eq!(said.json()["pods"][0]["name"], hostile);
            }
        }
        // An old ztunnel has no page that control has, and a page that is none is told so.
        let nonsense = json!({"/config_dump": "no JSON", "/debug/mesh": "<html>"});
        let mut other = bed.command("python3").args(["-c", PEER, "15000"]).arg(nonsense.to_string()).spawn()?;
        other.logs("up", std::time::Duration::from_secs(10)).await?;
        let said = ambit(&bed, "proxy workloads --admin 127.0.0.1:15000").await?.ends(1);
        said.complains("is not understood; is it of another version?");
        ambit(&bed, "proxy log --admin 127.0.0.1:15000").await?.ends(1);
        Ok(())
    }

    async fn a_reader_that_leaves_is_no_failure(bed: Testbed) -> anyhow::Result<()> {
        let _pair = Pair::plain(&bed, AMBIT).await?;
        let script = format!("{AMBIT} proxy workloads node-a -o json | head -c 1; echo ${{PIPESTATUS[0]}}");
        let done = bed.command("bash").args(["-c", &script]).env("KUBECONFIG", "").env("HOME", "/x");
        let done = done.run(std::time::Duration::from_secs(20)).await?;
        assert_eq!(done.text().trim(), "{0", "{done:?}");
        eventually("help for what is mistyped", std::time::Duration::from_secs(10), async || {
            let typed = command(&bed, "statsu").run(std::time::Duration::from_secs(9)).await;
            typed.is_ok_and(|done| {
                done.code() == Some(2) && String::from_utf8_lossy(&done.stderr).contains("status")
            })
        })
        .await?;
        Ok(())
    }
}
