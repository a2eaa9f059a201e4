//! HTTPRoutes: timeouts and retries, each with its reason.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::mesh::{Mesh, MeshPod, PATIENCE};
use testbed::{Testbed, eventually};

use crate::answer::{Answered, ask};
use crate::app::{self, Answer, Asked};

const AMBIT: &str = env!("CARGO_BIN_EXE_ambit");

/// A client, and a service `store` behind a waypoint whose application does as it is told.
struct Store {
    mesh: Mesh,
    web: MeshPod,
    server: MeshPod,
    asked: Asked,
}

impl Store {
    async fn open(bed: &Testbed, decide: fn(&str, usize) -> Answer) -> anyhow::Result<Self> {
        let mesh = Mesh::start(bed, AMBIT).await?;
        let store = mesh.pod("shop/store").on("node-b").enrolled().await?;
        let web = mesh.pod("shop/web").on("node-a").enrolled().await?;
        let asked = app::serve(&store, decide)?;
        let service = mesh.service("shop/store").named_port("http", 80, 8080).create()?;
        mesh.waypoint("shop/waypoint", "node-b").await?;
        mesh.use_waypoint("shop", Some("waypoint"))?;
        mesh.has_waypoint(&store, true).await?;
        mesh.has_service(&service).await?;
        Ok(Self { mesh, web, server: store, asked })
    }

    /// Puts rules in force; a rule for `/ready` says when they are.
    async fn route(&self, mut rules: Vec<Value>) -> anyhow::Result<()> {
        let filter = json!({"type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": "x-route", "value": "ready"}]}});
        rules.push(rule("/ready", json!({"filters": [filter]})));
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "store", "namespace": "shop"},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "store"}],
                "rules": rules}});
        self.mesh.apply(&route)?;
        eventually("the route is in force", PATIENCE, async || {
            self.ask("/ready").await.is_ok_and(|answer| answer.header("x-route").is_some())
        })
        .await?;
        Ok(())
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Answered> {
        ask(&self.web, &format!("http://store{path}")).await
    }

    /// The one line of the access log about `path`.
    async fn log(&self, path: &str) -> anyhow::Result<Value> {
        let lines = self.mesh.node("node-b")?.logs("request").with("path", path);
        lines.clone().await?;
        let all = lines.all();
        anyhow::ensure!(all.len() == 1, "one line for {path}: {all:?}");
        Ok(all.into_iter().next().unwrap_or_default())
    }
}

/// A rule of a route for one path, with the backend `store`.
fn rule(path: &str, more: Value) -> Value {
    let mut rule = json!({
        "matches": [{"path": {"type": "Exact", "value": path}}],
        "backendRefs": [{"name": "store", "port": 80}],
    });
    if let (Some(rule), Value::Object(more)) = (rule.as_object_mut(), more) {
        rule.extend(more);
    }
    rule
}

testbed::scenario! {
    async fn a_late_answer_becomes_a_504_that_says_where_and_why(
        bed: Testbed
    ) -> anyhow::Result<()> {
        let shop = Store::open(&bed, |path, _| match path {
            "/request" | "/try" => Answer::Silence,
            _ => Answer::Status(200),
        }).await?;
        shop.route(vec![
            rule("/request", json!({"timeouts": {"request": "300ms"}})),
            rule("/try", json!({"timeouts": {"request": "10s", "backendRequest": "300ms"}})),
        ]).await?;
        let application = shop.server.at4(8080).to_string();
        for (path, hop, reason, details) in [
            ("/request", "waypoint", "the request took longer than 300ms",
                "upstream_response_timeout"),
            ("/try", "application", "within 300ms", "upstream_per_try_timeout"),
        ] {
            let asked = Instant::now();
            let answer = shop.ask(path).await?;
            assert_eq!(answer.status, Some(504), "{path}");
            assert!(asked.elapsed() < Duration::from_secs(5), "{path}: {:?}", asked.elapsed());
            let status = answer.header("proxy-status").unwrap_or_default();
            assert!(status.starts_with("ambit/shop/waypoint; error=http_response_timeout"), "{status}");
            assert!(status.contains(&format!("; hop={hop}; ")), "{path}: {status}");
            assert!(status.contains(reason), "{path}: {status}");
            let named = status.contains(&format!("next-hop=\"{application}\""));
            assert_eq!(named, hop == "application", "{path}: {status}");
            let line = shop.log(path).await?;
            assert_eq!(line["response_code"], 504, "{line}");
            assert_eq!(line["response_code_details"], details, "{line}");
            assert_eq!(line["response_flags"], "UT", "{line}");
            assert_eq!(line["failed_at"], hop, "{line}");
            assert_eq!(line["route_name"], "HTTPRoute/shop/store", "{line}");
            assert_eq!(shop.asked.times(path), 1, "{path} is not tried again");
        }
        assert_eq!(shop.ask("/ready").await?.status, Some(200), "others are answered");
        Ok(())
    }

    async fn a_failing_backend_is_tried_again_until_it_answers(bed: Testbed) -> anyhow::Result<()> {
        let shop = Store::open(&bed, |path, nth| match (path, nth) {
            ("/busy", 1 | 2) | ("/never" | "/unlisted", _) => Answer::Status(503),
            ("/broken", 1 | 2) => Answer::HangUp,
            ("/late", 1) => Answer::Silence,
            _ => Answer::Status(200),
        }).await?;
        let retry = |attempts: u32| json!({"codes": [503], "attempts": attempts, "backoff": "10ms"});
        shop.route(vec![
            rule("/busy", json!({"retry": retry(3)})),
            rule("/broken", json!({"retry": retry(3)})),
            rule("/late", json!({"retry": retry(1),
                "timeouts": {"request": "10s", "backendRequest": "500ms"}})),
            rule("/never", json!({"retry": retry(2)})),
            rule("/unlisted", json!({"retry": {"codes": [500], "attempts": 2}})),
        ]).await?;
        for (path, status, tries) in [
            ("/busy", 200, 3),
            ("/broken", 200, 3),
            ("/late", 200, 2),
            ("/never", 503, 3),
            ("/unlisted", 503, 1),
        ] {
            let answer = shop.ask(path).await?;
            assert_eq!(answer.status, Some(status), "{path}");
            assert_eq!(answer.header("proxy-status"), None, "{path} is the application's answer");
            assert_eq!(shop.asked.times(path), tries, "{path}");
            let line = shop.log(path).await?;
            assert_eq!(line["attempts"], tries, "{line}");
            assert_eq!(line["response_code"], status, "{line}");
        }
        Ok(())
    }
}
