//! External authorization: an engine of the user's decides, and whatever is wrong with it,
//! nobody passes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, yaml};
use testbed::mesh::{MeshPod, PATIENCE};
use testbed::{Process, Testbed, eventually};

use crate::shop::{Shop, get};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const ORDERS: &str = "http://store/orders";
const ADMIN: &str = "http://store/admin";
/// How long the waypoint waits for an answer here; its default of 50 ms is for machines that
/// do nothing else.
const TIMEOUT: &str = "0.5s";

struct Engine {
    pod: MeshPod,
    relations: PathBuf,
    process: Process,
}

impl Engine {
    async fn start(bed: &Testbed, shop: &Shop) -> anyhow::Result<Self> {
        let pod = shop.mesh.pod("rules/engine").on("node-a").enrolled().await?;
        let service = shop.mesh.service("rules/engine").named_port("grpc", 9000, 9000).create()?;
        shop.mesh.has_service(&service).await?;
        let relations = bed.directory("rules")?.join("relations.txt");
        std::fs::write(&relations, "shop/web reads store:/orders\n")?;
        let process = Self::run(&pod, &relations).await?;
        Ok(Self { pod, relations, process })
    }

    async fn run(pod: &MeshPod, relations: &PathBuf) -> anyhow::Result<Process> {
        let engine = pod.command(AMBIT).args(["shop", "policy", "--relations"]).arg(relations);
        let mut process = engine.named("engine").spawn()?;
        process.logs("policy engine ready", PATIENCE).await?;
        Ok(process)
    }
}

/// The mesh configuration with a provider at a service.
fn provider(service: &str, port: u16) -> Value {
    let call = json!({"service": service, "port": port, "timeout": TIMEOUT});
    let mesh = json!({"extensionProviders": [{"name": "rules", "envoyExtAuthzGrpc": call}]});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": yaml(&mesh)}})
}

fn ask_the_engine() -> Value {
    let spec = json!({
        "targetRefs": [{"kind": "Service", "group": "", "name": "store"}],
        "provider": {"name": "rules"},
        "rules": [{}],
    });
    authorization_policy(("shop", "ask"), "CUSTOM", spec)
}

testbed::scenario! {
    async fn an_engine_decides_and_nobody_passes_without_it(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.bind().await?;
        let Engine { pod, relations, process } = Engine::start(&bed, &shop).await?;
        shop.mesh.apply(&provider("engine.rules.svc.cluster.local", 9000))?;
        shop.mesh.apply(&ask_the_engine())?;
        shop.until("the engine refuses", &shop.web, ADMIN, Some(403)).await?;
        shop.until("the engine allows", &shop.web, ORDERS, Some(200)).await?;
        let other = shop.mesh.pod("shop/other").on("node-a").enrolled().await?;
        assert_eq!(get(&other, ORDERS).await?, Some(403), "others are not named");
        let audit = |decision: &str| {
            shop.mesh.node("node-b").map(|node| node.logs("external authorization")
                .with("decision", decision).with("src.identity", shop.web.identity()))
        };
        audit("ok")?.with("path", "/orders").await?;
        audit("denied")?.with("path", "/admin").with("response_code", 403).await?;

        std::fs::write(&relations, "shop/web reads store:/admin\n")?;
        shop.until("refused by new rules", &shop.web, ORDERS, Some(403)).await?;
        std::fs::write(&relations, "shop/web reads store:/\n")?;
        shop.until("allowed by new rules", &shop.web, ORDERS, Some(200)).await?;

        // It hangs: nobody waits longer than the time that it has.
        process.pause()?;
        let asked = Instant::now();
        assert_eq!(get(&shop.web, ORDERS).await?, Some(403), "unanswered");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        audit("error")?.with("path", "/orders").await?;
        process.resume()?;
        shop.until("it goes on", &shop.web, ORDERS, Some(200)).await?;

        // It is dead, and comes back.
        process.kill().await?;
        for _ in 0..5 {
            assert_eq!(get(&shop.web, ORDERS).await?, Some(403), "dead");
        }
        let _engine = Engine::run(&pod, &relations).await?;
        shop.until("it is back", &shop.web, ORDERS, Some(200)).await?;
        Ok(())
    }

    async fn an_engine_that_is_nowhere_refuses_everybody(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.bind().await?;
        // No provider of this name; then one at a service that is not there.
        shop.mesh.apply(&ask_the_engine())?;
        shop.until("refused without a provider", &shop.web, ORDERS, Some(403)).await?;
        shop.mesh.apply(&provider("nobody.rules.svc.cluster.local", 9000))?;
        for _ in 0..10 {
            assert_eq!(get(&shop.web, ORDERS).await?, Some(403));
        }
        shop.mesh.remove("AuthorizationPolicy", "shop", "ask")?;
        shop.until("free without the policy", &shop.web, ORDERS, Some(200)).await?;
        eventually("no problem is left but the provider's", PATIENCE, async || {
            shop.mesh.control().status().await.is_ok()
        }).await?;
        Ok(())
    }
}
