//! Faults that are provoked, each with what `ambit check` advises.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, http_route, peer_authentication};
use testbed::mesh::{Mesh, PATIENCE, Pair};
use testbed::{Testbed, eventually};

use crate::said::{AMBIT, Said, ambit, command};

/// The findings of a run.
fn findings(said: &Said) -> Vec<Value> {
    said.json()["findings"].as_array().cloned().unwrap_or_default()
}

/// Whether there is a finding such as this: its id, a part of its object, of its problem and of
/// its advice.
fn finds(said: &Said, (id, object, problem, fix): (&str, &str, &str, &str)) -> bool {
    let has = |one: &Value, field: &str, part: &str| {
        one[field].as_str().is_some_and(|text| text.contains(part))
    };
    findings(said).iter().any(|one| {
        one["id"] == id
            && has(one, "object", object)
            && has(one, "problem", problem)
            && has(one, "fix", fix)
    })
}

/// Waits until a check finds it, and that it ends with 3 for an error.
async fn is_found(
    bed: &Testbed,
    arguments: &str,
    want: (&str, &str, &str, &str),
) -> anyhow::Result<()> {
    let arguments = format!("check -o json {arguments}");
    let mut last = None;
    let waited = eventually(format!("{want:?} is found"), PATIENCE, async || {
        let Ok(said) = ambit(bed, &arguments).await else { return false };
        let found = said.out.starts_with('{') && finds(&said, want);
        let errors = found && said.json()["errors"] != 0;
        let fits = !found || said.code == Some(if errors { 3 } else { 0 });
        last = Some(said);
        assert!(fits, "{last:#?}");
        found
    });
    waited.await.map_err(|late| anyhow::anyhow!("{late}: {last:#?}"))?;
    Ok(())
}

/// Waits until nothing is wrong.
async fn is_well(bed: &Testbed) -> anyhow::Result<()> {
    let mut last = None;
    let waited = eventually("nothing is wrong", PATIENCE, async || {
        last = ambit(bed, "check").await.ok();
        last.as_ref()
            .is_some_and(|said| said.code == Some(0) && said.out.starts_with("nothing is wrong"))
    });
    waited.await.map_err(|late| anyhow::anyhow!("{late}: {last:#?}"))?;
    Ok(())
}

testbed::scenario! {
    async fn a_place_without_a_mesh_and_manifests_with_mistakes(bed: Testbed) -> anyhow::Result<()> {
        let manifests = bed.manifests()?;
        let at = format!("--directory {}", manifests.path().display());
        manifests.write("shop.yaml", "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n")?;
        ambit(&bed, &format!("check --before {at}")).await?.ends(0).has(&["nothing is wrong"]);
        is_found(&bed, &at, ("no-mesh", "the mesh of", "no process", "start control")).await?;
        // Two problems in one file: both are told.
        manifests.write("two.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: shop}\nspec: {nodeName: n, containers: [{name: c, image: i, ports: [{name: p, containerPort: many}]}]}\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {action: MAYBE}\n")?;
        let before = format!("--before {at}");
        is_found(&bed, &before, ("not-as-written", "Pod shop/late", "many", "two.yaml, document 1")).await?;
        is_found(&bed, &before, ("not-as-written", "AuthorizationPolicy shop/p", "MAYBE", "document 2")).await?;
        let other = ambit(&bed, &format!("check {before} -n bank -o json")).await?.ends(0);
        assert_eq!(findings(&other).len(), 0, "{other:#?}");
        Ok(())
    }

    async fn a_control_plane_with_nothing_to_serve_is_not_ready(bed: Testbed) -> anyhow::Result<()> {
        let (empty, state) = (bed.directory("empty")?, bed.directory("state")?);
        let control = bed.command(AMBIT).arg("control").env("CONTROL_DIRECTORY", &empty);
        let _control = control.env("CONTROL_STATE", &state).spawn()?;
        is_found(&bed, "", ("control-not-ready", "control", "not ready", "first object")).await
    }

    async fn a_machine_without_nftables_or_with_a_taken_port_is_no_node(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let bare = bed.directory("bin")?;
        let run = command(&bed, "check --machine -o json").env("PATH", &bare);
        let said: Said = run.run(Duration::from_secs(20)).await?.into();
        assert!(said.code == Some(3) && finds(&said, ("nft-missing", "nft", "cannot be run", "nftables")), "{said:#?}");
        let listen = "import socket,time; s=socket.socket(); s.bind(('0.0.0.0', 15008)); s.listen(); print('up', flush=True); time.sleep(100)";
        let mut holder = bed.command("python3").args(["-c", listen]).spawn()?;
        holder.logs("up", Duration::from_secs(10)).await?;
        is_found(&bed, "--machine", ("port-taken", "port 15008", "listens on it", "ss -ltnp")).await?;
        holder.kill().await?;
        ambit(&bed, "check --machine").await?.ends(0).has(&["nothing is wrong"]);
        Ok(())
    }

    async fn processes_that_are_missing_stopped_or_cut_off_are_found(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let options = Mesh::options(AMBIT).control_env("NODE_GRACE", "1s");
        let Pair { mesh, .. } = Pair::with(&bed, &options).await?;
        is_well(&bed).await?;
        let lonely = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-z"}});
        mesh.apply(&lonely)?;
        is_found(&bed, "", ("node-without-ztunnel", "Node node-z", "no ztunnel", "start ambit node")).await?;
        is_found(&bed, "--node node-z", ("node-without-ztunnel", "Node node-z", "", "")).await?;
        ambit(&bed, "check --node node-a").await?.ends(0);
        ambit(&bed, "check --node node-y").await?.ends(4).complains("did you mean");
        mesh.remove("Node", "", "node-z")?;
        is_well(&bed).await?;

        let ztunnel = mesh.node("node-a")?.ztunnel();
        ztunnel.signal(Signal::SIGSTOP)?;
        is_found(&bed, "", ("ztunnel-unreachable", "ztunnel on node-a", "does not answer", "see its log")).await?;
        // Its supervisor may have put another into its place.
        let _ = ztunnel.signal(Signal::SIGCONT);
        is_well(&bed).await?;

        let node = mesh.node("node-b")?;
        node.kill().await?;
        is_found(&bed, "", ("node-silent", "Node node-b", "has not heard", "start ambit node")).await?;
        node.start()?;
        is_well(&bed).await?;

        mesh.control().kill().await?;
        is_found(&bed, "", ("control-missing", "control", "no control plane runs", "start control")).await?;
        is_found(&bed, "", ("ztunnel-disconnected", "ztunnel on node-b", "not connected", "15012")).await?;
        mesh.control().start()?;
        is_well(&bed).await
    }

    async fn certificates_that_are_late_and_over_are_found(bed: Testbed) -> anyhow::Result<()> {
        let short = Mesh::options(AMBIT).node_env("SECRET_TTL", "10s");
        let Pair { mesh, store, .. } = Pair::with(&bed, &short).await?;
        is_well(&bed).await?;
        mesh.control().kill().await?;
        let late = ("certificate-expiring", "", "not renewed", "whether control runs");
        is_found(&bed, "-n shop", late).await?;
        let identity = store.identity();
        let over = ("certificate-expired", identity.as_str(), "expired", "whether control runs");
        is_found(&bed, "--node node-b", over).await
    }

    async fn pods_that_are_not_captured_or_not_served_are_found(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, store, .. } = Pair::enrolled(&bed, AMBIT).await?;
        is_well(&bed).await?;
        // A pod of which its node finds no network namespace.
        let ghost = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "ghost", "namespace": "shop", "uid": "ghost-1"},
            "spec": {"nodeName": "node-a", "containers": [{"name": "main", "image": "i"}]},
            "status": {"phase": "Running", "podIP": "10.244.1.99"}});
        mesh.apply(&ghost)?;
        is_found(&bed, "-n shop", ("pod-not-captured", "Pod shop/ghost", "its label asks", "node-a")).await?;
        mesh.remove("Pod", "shop", "ghost")?;
        is_well(&bed).await?;
        // One whose port for the mesh a program of its own has.
        let squatter = mesh.pod("other/squatter").on("node-b").await?;
        let mut held = squatter.command("python3").args(["-c",
            "import socket,time; s=socket.socket(socket.AF_INET6); s.bind(('::', 15008)); s.listen(); print('up', flush=True); time.sleep(100)"]).spawn()?;
        held.logs("up", Duration::from_secs(10)).await?;
        mesh.enrol("other")?;
        let mut last = None;
        let waited = eventually("the squatter is found", PATIENCE, async || {
            last = ambit(&bed, "check -n other -o json").await.ok();
            last.as_ref().is_some_and(|said| findings(said).iter().any(|one| {
                one["object"] == "Pod other/squatter" && one["severity"] == "error"
            }))
        });
        waited.await.map_err(|late| anyhow::anyhow!("{late}: {last:#?}"))?;
        held.kill().await?;
        drop(store);
        Ok(())
    }

    async fn what_authors_get_wrong_is_found_on_a_running_mesh(bed: Testbed) -> anyhow::Result<()> {
        let Pair { mesh, .. } = Pair::enrolled(&bed, AMBIT).await?;
        is_well(&bed).await?;

        mesh.use_waypoint("shop", Some("nope"))?;
        is_found(&bed, "-n shop", ("waypoint-missing", "shop", "there is no waypoint shop/nope", "ambit waypoint apply")).await?;
        mesh.use_waypoint("shop", None)?;
        mesh.gateway("edge/gate")?.ready(2).await?;
        mesh.label_namespace("shop", "istio.io/use-waypoint-namespace", Some("edge"))?;
        mesh.use_waypoint("shop", Some("gate"))?;
        is_found(&bed, "", ("waypoint-refuses-namespace", "shop", "does not allow this namespace", "allowedRoutes")).await?;
        mesh.use_waypoint("shop", None)?;
        mesh.label_namespace("shop", "istio.io/use-waypoint-namespace", None)?;
        is_well(&bed).await?;

        let policy = |spec: Value| authorization_policy(("shop", "p"), "ALLOW", spec);
        for (spec, want) in [
            (
                json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}),
                ("policy-needs-waypoint", "AuthorizationPolicy shop/p", "methods", "spec.targetRefs"),
            ),
            (
                json!({"rules": [{"from": [{"source": {"ipBlocks": ["ten"]}}]}]}),
                ("policy-stricter", "AuthorizationPolicy shop/p", "\"ten\"", "stricter"),
            ),
            (
                json!({"selector": {"matchLabels": {"app": "stor"}}, "rules": [{}]}),
                ("selector-matches-nothing", "AuthorizationPolicy shop/p", "app=stor", "did you mean app=store"),
            ),
            (
                json!({"rules": "all"}),
                ("not-as-written", "AuthorizationPolicy shop/p", "spec.rules", "correct spec.rules"),
            ),
        ] {
            mesh.apply(&policy(spec))?;
            is_found(&bed, "-n shop", want).await?;
        }
        mesh.remove("AuthorizationPolicy", "shop", "p")?;
        is_well(&bed).await?;

        let backend = json!([{"backendRefs": [{"name": "gone", "port": 80}]}]);
        mesh.apply(&http_route(("shop", "r"), "store", &backend))?;
        is_found(&bed, "", ("backend-missing", "HTTPRoute shop/r", "Service shop/gone is not there", "create the Service")).await?;
        mesh.remove("HTTPRoute", "shop", "r")?;

        let custom = json!({"provider": {"name": "engin"}, "rules": [{}],
            "targetRefs": [{"kind": "Service", "group": "", "name": "store"}]});
        mesh.apply(&authorization_policy(("shop", "c"), "CUSTOM", custom.clone()))?;
        is_found(&bed, "", ("provider-undefined", "AuthorizationPolicy shop/c", "no provider 'engin'", "extensionProviders")).await?;
        let engine = "extensionProviders:\n- name: engin\n  envoyExtAuthzGrpc: {service: policy.shop.svc.cluster.local, port: 9000}\n";
        mesh.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": engine}}))?;
        is_found(&bed, "", ("provider-unreachable", "AuthorizationPolicy shop/c", "policy.shop.svc", "create Service shop/policy")).await?;
        mesh.remove("AuthorizationPolicy", "shop", "c")?;
        is_well(&bed).await?;

        let outsider = mesh.pod("shop/printer").on("node-a").labelled("istio.io/dataplane-mode", "none").await?;
        mesh.apply(&peer_authentication(("shop", "default"), "STRICT", &[]))?;
        is_found(&bed, "-n shop", ("strict-callers-outside", "PeerAuthentication shop/default", "shop/printer", "ambit enroll")).await?;
        outsider.label("istio.io/dataplane-mode", None)?;
        is_well(&bed).await?;
        // What cannot be read is told with its file, and the rest is still looked at.
        fs::write(mesh.manifests().path().join("broken.yaml"), "a: [1\n")?;
        is_found(&bed, "", ("not-as-written", "broken.yaml", "is no YAML", "correct broken.yaml")).await
    }
}
