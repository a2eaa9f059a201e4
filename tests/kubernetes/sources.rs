//! The same objects lead to the same, from a directory and from an API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cluster::control_plane::ControlPlane;
use cluster::plan::Plan;
use cluster::{control_plane, folders};
use control::engine::Tables;
use control::status::Report;
use control::{App, Config, Running};
use hbone::wire::pb::ambit::waypoint::v1 as waypoint;
use prost::Message as _;
use testbed::{Testbed, eventually};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
/// More than a change takes; less than anybody waits.
const SOON: Duration = Duration::from_secs(30);

/// A shop, and what its owners got wrong.
const OBJECTS: &str = include_str!("sources/objects.yaml");
const MISTAKES: &str = include_str!("sources/mistakes.yaml");

/// Namespaces that only the fixture has, and one that both have.
const OURS: [&str; 4] = ["shop", "bank", "istio-system", "node-x"];

/// What is served of our namespaces, by family and name. The API server alone knows when an
/// object was made.
fn served(tables: &Tables) -> BTreeMap<String, Vec<u8>> {
    let families = [
        ("address", &tables.address),
        ("authorization", &tables.authorization),
        ("gateway", &tables.waypoint_gateways),
        ("route", &tables.waypoint_routes),
        ("policy", &tables.waypoint_policies),
        ("provider", &tables.waypoint_providers),
    ];
    let mut all = BTreeMap::new();
    for (family, table) in families {
        for (name, entry) in table.all().updated {
            let ours = OURS.iter().any(|ours| name.split('/').any(|part| part == *ours));
            // Over a directory control makes the Service of a waypoint itself.
            let made = &*name == "shop/front.shop.svc.cluster.local";
            if made || !ours && family != "provider" {
                continue;
            }
            let mut body = entry.body.to_vec();
            if family == "route"
                && let Ok(mut route) = waypoint::Route::decode(body.as_slice())
            {
                route.created_ms = 0;
                body = route.encode_to_vec();
            }
            all.insert(format!("{family} {name}"), body);
        }
    }
    all
}

/// What is said of our objects: condition, status, reason and words. Whether a waypoint runs is
/// another matter where nobody would run it.
fn said(report: &Report) -> BTreeMap<String, Vec<String>> {
    let ours = |name: &&String| OURS.iter().any(|ours| name.contains(&format!(" {ours}/")));
    let words = |object: &String| {
        let conditions = report.objects[object].iter();
        let mut words: Vec<String> = conditions
            .map(|c| format!("{} {} {}: {}", c.kind, c.status, c.reason, c.message))
            .collect();
        words.sort();
        (object.clone(), words)
    };
    let waypoint = |name: &&String| name.ends_with(" shop/front");
    report.objects.keys().filter(|name| ours(name) && !waypoint(name)).map(words).collect()
}

/// A control plane over a directory.
async fn over_directory(bed: &Testbed) -> anyhow::Result<Running> {
    let folder = bed.directory("mesh")?;
    std::fs::write(folder.join("objects.yaml"), OBJECTS)?;
    std::fs::write(folder.join("mistakes.yaml"), MISTAKES)?;
    let mut config = Config::new(folder, bed.directory("directory-state")?);
    config.listen = ([127, 0, 0, 1], 0).into();
    config.admin = ([127, 0, 0, 1], 0).into();
    App::start(config).await
}

/// A control plane over an API server that has the same objects.
async fn over_api_server(
    bed: &Testbed,
    plan: &Plan,
    server: &ControlPlane,
) -> anyhow::Result<Running> {
    let kubectl = server.kubectl();
    kubectl.apply(&folders::binaries()?.gateway_api()?)?;
    let definitions = cluster::ambit::manifests("definitions").display().to_string();
    kubectl.run(&["apply", "--server-side", "-k", &definitions])?;
    for objects in [OBJECTS, MISTAKES] {
        let mut last = None;
        let applied = async || match kubectl.apply(objects) {
            Ok(()) => true,
            Err(error) => {
                last = Some(error);
                false
            }
        };
        let waited = eventually("the objects are taken", SOON, applied).await;
        waited.with_context(|| format!("{last:?}"))?;
    }
    // The status of pods is another's to write: a kubelet's, which is not there.
    let status = ["apply", "--server-side", "--force-conflicts", "--subresource=status", "-f"];
    let pods = bed.directory("pods")?.join("pods.yaml");
    let only: Vec<&str> = OBJECTS.split("\n---\n").filter(|o| o.contains("kind: Pod\n")).collect();
    std::fs::write(&pods, only.join("\n---\n"))?;
    kubectl.run(&[&status[..], &[&pods.display().to_string()]].concat())?;

    let mut config = Config::new(bed.directory("unused")?, bed.directory("kubernetes-state")?);
    config.kubernetes = true;
    config.kubeconfig = Some(plan.kubeconfig());
    config.listen = ([127, 0, 0, 1], 0).into();
    config.admin = ([127, 0, 0, 1], 0).into();
    App::start(config).await
}

testbed::scenario! {
    #[ignore = "starts an API server"]
    within 200;
    async fn both_sources_lead_to_the_same(bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(AMBIT).with_file_name("ambit-cluster");
        let plan = Plan::new("sources", 0, &folders::target(), &program);
        let (server, _authority) = control_plane(&plan, &folders::binaries()?, &[]).await?;
        let directory = over_directory(&bed).await?;
        let kubernetes = over_api_server(&bed, &plan, &server).await?;
        directory.ready().await;

        let (mut wanted, mut found) = (BTreeMap::new(), BTreeMap::new());
        let same = async || {
            wanted = served(directory.tables());
            found = served(kubernetes.tables());
            wanted == found
        };
        let waited = eventually("both serve the same", SOON, same).await;
        let names = |of: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>| {
            let differ = of.iter().filter(|(name, body)| other.get(*name) != Some(body));
            differ.map(|(name, body)| format!("{name}: {:?}", String::from_utf8_lossy(body))).collect::<Vec<_>>()
        };
        waited.with_context(|| {
            format!("directory: {:#?}\nAPI server: {:#?}", names(&wanted, &found), names(&found, &wanted))
        })?;
        assert!(wanted.len() > 15, "{:?}", wanted.keys());

        let (mut wanted, mut found) = (BTreeMap::new(), BTreeMap::new());
        let same = async || {
            wanted = said(&directory.board().report());
            found = said(&kubernetes.board().report());
            wanted == found
        };
        let waited = eventually("both say the same", SOON, same).await;
        waited.with_context(|| format!("directory: {wanted:#?}\nAPI server: {found:#?}"))?;
        for reason in ["BackendNotFound", "RefNotPermitted", "NoMatchingParent", "UnsupportedValue"] {
            assert!(wanted.values().flatten().any(|said| said.contains(reason)), "{reason}: {wanted:#?}");
        }
        directory.stop().await;
        kubernetes.stop().await;
        Ok(())
    }
}
