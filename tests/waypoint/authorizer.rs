//! External authorization: an engine of the user's decides, and whatever is wrong with it,
//! nobody passes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::manifests::{authorization_policy, yaml};
use testbed::mesh::{MeshPod, PATIENCE};
use testbed::{Process, Testbed, eventually};

use crate::answer::ask;
use crate::engine::{self, Does};
use crate::shop::{Shop, get};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");
const ORDERS: &str = "http://store/orders";
const ADMIN: &str = "http://store/admin";
/// How long the waypoint waits for an answer here; its default of 50 ms is for machines that
/// do nothing else.
const TIMEOUT: &str = "0.5s";
/// How soon an engine that is back is used again.
const BACK: Duration = Duration::from_secs(2);

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
        // The first refusals may have been those of an engine that was not reached yet.
        assert_eq!(get(&shop.web, ADMIN).await?, Some(403), "by the engine itself");
        // It is the policy's decision, for whoever looks for it.
        eventually("the refusal is remembered by its policy", PATIENCE, async || {
            let now = observe::now_ms();
            let asked = format!("incidents?from={}&to={now}&policy=shop/ask", now - 60_000);
            let page = shop.mesh.control().api(&asked).await.unwrap_or_default();
            page["incidents"].as_array().into_iter().flatten().any(|incident| {
                incident["hop"] == "authorizer" && incident["refused"] == true
            })
        })
        .await?;
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

        // It is dead, at once and with the reason, and comes back.
        let mark = shop.mesh.node("node-b")?.mark();
        process.kill().await?;
        for _ in 0..5 {
            assert_eq!(get(&shop.web, ORDERS).await?, Some(403), "dead");
        }
        let audit = shop.mesh.node("node-b")?.logs("external authorization").since(mark);
        audit.clone().with("decision", "error").await?;
        let lines = audit.all();
        assert!(lines.iter().all(|line| line["decision"] == "error"), "{lines:?}");
        let reason = |line: &Value| line["reason"].as_str().unwrap_or_default().to_owned();
        let late = lines.iter().map(reason).filter(|reason| reason.contains("no answer within"));
        assert_eq!(late.count(), 0, "a dead engine is known to be dead: {lines:?}");
        let _engine = Engine::run(&pod, &relations).await?;
        let back = eventually("it is back", BACK, async || {
            get(&shop.web, ORDERS).await.ok() == Some(Some(200))
        });
        back.await?;
        Ok(())
    }

    async fn whatever_an_engine_does_only_its_yes_lets_pass(bed: Testbed) -> anyhow::Result<()> {
        let shop = Shop::open(&bed).await?;
        shop.bind().await?;
        let pod = shop.mesh.pod("rules/engine").on("node-a").enrolled().await?;
        let service = shop.mesh.service("rules/engine").named_port("grpc", 9000, 9000).create()?;
        shop.mesh.has_service(&service).await?;
        let engine = engine::Engine::serve(&pod)?;
        shop.mesh.apply(&provider("engine.rules.svc.cluster.local", 9000))?;
        shop.mesh.apply(&ask_the_engine())?;
        eventually("the engine is asked", PATIENCE, async || {
            get(&shop.web, ORDERS).await.is_ok() && engine.asked() > 0
        }).await?;
        shop.until("the engine allows", &shop.web, ORDERS, Some(200)).await?;
        for (does, status, decision, reason) in [
            (Does::Allow, 200, "ok", None),
            (Does::Refuse, 403, "denied", None),
            (Does::AllowLate(Duration::from_millis(900)), 403, "error",
                Some("no answer within 500ms")),
            (Does::Nothing, 403, "error", Some("no answer within 500ms")),
            (Does::Fail, 403, "error", Some("Internal: out of order")),
            (Does::Allow, 200, "ok", None),
        ] {
            let (node, before) = (shop.mesh.node("node-b")?, engine.asked());
            let mark = node.mark();
            engine.now(does);
            let asked = Instant::now();
            let answer = ask(&shop.web, ORDERS).await?;
            assert!(asked.elapsed() < Duration::from_secs(3), "{does:?}: {:?}", asked.elapsed());
            assert_eq!(answer.status, Some(status), "{does:?}");
            assert_eq!(engine.asked(), before + 1, "{does:?}: asked once");
            let audit = node.logs("external authorization").since(mark);
            let line = audit.clone().await?;
            assert_eq!(audit.all().len(), 1, "{does:?}: one line for one decision");
            assert_eq!(line["decision"], decision, "{line}");
            assert_eq!(line.get("reason").and_then(Value::as_str), reason, "{line}");
            assert_eq!(line["src.identity"], shop.web.identity(), "{line}");
            assert_eq!(line["policy"], "AuthorizationPolicy/shop/ask", "{line}");
            let because = answer.header("proxy-status").unwrap_or_default();
            let named = match decision {
                "ok" => "",
                "denied" => "error=http_request_denied; hop=authorizer; details=\"denied by policy\"",
                _ => "hop=authorizer; details=\"the external authorizer did not decide\"",
            };
            assert!(because.contains(named), "{does:?}: {because}");
            assert_eq!(because.is_empty(), decision == "ok", "{does:?}: {because}");
        }
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
