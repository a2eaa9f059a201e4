//! Layer 7: paths, a canary, a policy engine, two waypoints.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use testbed::eventually;

use super::open::{IMAGE, Shop, WAYPOINT, passed, service, tally};
use super::{SOON, STARTED};

/// Requests that are counted.
const COUNTED: u64 = 300;
/// Four standard deviations of a tenth of them: chance fails one run in 15,000.
const SPREAD: u64 = 21;

/// Web may ask for orders; nobody may ask for what only staff may see.
const PATHS: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders}]
  rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
      to: [{operation: {methods: [GET], paths: [/orders]}}]
";

const CANARY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: payments, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: payments, port: 80}]
  rules:
    - backendRefs:
        - {name: payments-v1, port: 80, weight: 90}
        - {name: payments-v2, port: 80, weight: 10}
";

/// The name that callers use for both versions.
const PAYMENTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: payments, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec:
  selector: {app: payments-v1}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
";

/// The policy engine, the provider that names it, and a policy that asks it.
const ENGINE: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: relations, namespace: shop}
data: {relations: 'shop/web reads orders:/orders'}
---
apiVersion: v1
kind: Service
metadata: {name: policy, namespace: shop}
spec: {selector: {app: policy}, ports: [{name: grpc, port: 9000, appProtocol: grpc}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: policy, namespace: shop}
spec:
  selector: {matchLabels: {app: policy}}
  template:
    metadata: {labels: {app: policy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: policy
          image: IMAGE
          imagePullPolicy: Never
          command: [ambit, shop, policy, --relations, /relations/relations]
          readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
          volumeMounts: [{name: relations, mountPath: /relations}]
      volumes: [{name: relations, configMap: {name: relations}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: ambit-system}
data:
  mesh: |
    extensionProviders:
      - name: shop-policy
        envoyExtAuthzGrpc: {service: policy.shop.svc.cluster.local, port: 9000, timeout: 1s}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: orders}]
  action: CUSTOM
  provider: {name: shop-policy}
  rules: [{}]
";

pub(super) async fn play(shop: &Shop) -> anyhow::Result<()> {
    eprintln!("the rest of the shop");
    for (name, role, version) in [
        ("web", "web", "v1"),
        ("orders", "orders", "v1"),
        ("payments-v1", "payments", "v1"),
        ("payments-v2", "payments", "v2"),
    ] {
        shop.apply(&service(name, role, version, 1))?;
    }
    shop.apply(PAYMENTS)?;
    shop.apply(&WAYPOINT.replace("NAME", "waypoint"))?;
    for name in ["web", "orders", "payments-v1", "payments-v2"] {
        shop.rolled_out(&format!("deployment/{name}"))?;
    }
    programmed(shop, "waypoint").await?;
    shop.answers("customer", "http://web.shop/", 200).await?;
    shop.answers("customer", "http://web.shop/admin", 200).await?;

    eprintln!("/orders, and not /admin");
    shop.run(&["label", "service", "orders", "-n", "shop", "istio.io/use-waypoint=waypoint"])?;
    shop.apply(PATHS)?;
    shop.answers("customer", "http://web.shop/admin", 403).await?;
    shop.answers("customer", "http://web.shop/", 200).await?;
    shop.answers("customer", "http://orders.shop/orders", 403).await?;

    canary(shop).await?;
    engine(shop).await?;
    two_waypoints(shop).await
}

async fn programmed(shop: &Shop, name: &str) -> anyhow::Result<()> {
    let programmed = async || {
        let conditions = shop.get("gateway", name)["status"]["conditions"].clone();
        let all = conditions.as_array().into_iter().flatten();
        all.into_iter().any(|c| c["type"] == "Programmed" && c["status"] == "True")
    };
    let waited = eventually(format!("{name} is programmed"), STARTED, programmed).await;
    waited.map(drop).with_context(|| format!("{:#}", shop.get("gateway", name)["status"]))
}

/// How many of the counted orders were paid at v2, and how many failed.
async fn count(shop: &Shop, url: &str) -> anyhow::Result<(u64, u64)> {
    let tally = tally(shop.traffic(url, 50, Some(COUNTED))?).await?;
    eprintln!("{tally:?}");
    let two = tally.versions.get("v2").copied().unwrap_or(0);
    Ok((two, tally.failed))
}

async fn canary(shop: &Shop) -> anyhow::Result<()> {
    eprintln!("nine tenths to v1, one tenth to v2");
    shop.apply(CANARY)?;
    let moved = async || {
        (0..10).any(|_| {
            let curl = ["curl", "-s", "--max-time", "3", "http://web.shop/"];
            shop.exec("customer", &curl).is_ok_and(|page| page.contains("\"v2\""))
        })
    };
    eventually("the route is in force", SOON, moved).await?;
    let (two, failed) = count(shop, "http://web.shop/").await?;
    ensure!(failed == 0, "{failed} of {COUNTED} failed");
    let right = COUNTED / 10;
    ensure!(two.abs_diff(right) <= SPREAD, "v2 took {two} of {COUNTED}; {right} would be right");
    Ok(())
}

async fn engine(shop: &Shop) -> anyhow::Result<()> {
    eprintln!("a policy engine decides, and nobody passes without it");
    shop.apply(&ENGINE.replace("IMAGE", IMAGE))?;
    shop.rolled_out("deployment/policy")?;
    shop.answers("customer", "http://web.shop/", 200).await?;
    shop.run(&["scale", "deployment", "policy", "-n", "shop", "--replicas=0"])?;
    shop.answers("customer", "http://web.shop/", 403).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(shop.status("customer", "http://web.shop/") == 403, "it stays closed");
    shop.run(&["scale", "deployment", "policy", "-n", "shop", "--replicas=1"])?;
    shop.rolled_out("deployment/policy")?;
    shop.answers("customer", "http://web.shop/", 200).await?;
    shop.run(&["delete", "authorizationpolicy", "ask", "-n", "shop"])?;
    Ok(())
}

/// A second waypoint takes a third of a service's connections, then all.
async fn two_waypoints(shop: &Shop) -> anyhow::Result<()> {
    eprintln!("a canary of the waypoint itself");
    shop.apply(&WAYPOINT.replace("NAME", "next"))?;
    programmed(shop, "next").await?;
    let weigh = |weight: u8| -> anyhow::Result<()> {
        let label = "istio.io/use-waypoint-canary=next";
        shop.run(&["label", "service", "orders", "-n", "shop", label, "--overwrite"])?;
        let weight = format!("istio.io/use-waypoint-canary-weight={weight}");
        shop.run(&["annotate", "service", "orders", "-n", "shop", &weight, "--overwrite"])?;
        Ok(())
    };
    weigh(30)?;
    let before = passed(shop, "next", "orders")?;
    let shared = async || {
        shop.status("customer", "http://web.shop/");
        passed(shop, "next", "orders").is_ok_and(|now| now > before)
    };
    eventually("the second waypoint has a share", SOON, shared).await?;
    let (first, second) = (passed(shop, "waypoint", "orders")?, passed(shop, "next", "orders")?);
    let (_, failed) = count(shop, "http://web.shop/").await?;
    ensure!(failed == 0, "{failed} of {COUNTED} failed");
    let share = passed(shop, "next", "orders")? - second;
    let rest = passed(shop, "waypoint", "orders")? - first;
    eprintln!("waypoint {rest}, next {share}");
    let right = COUNTED * 3 / 10;
    ensure!(share.abs_diff(right) <= 2 * SPREAD, "{share} of {COUNTED}; {right} would be right");
    weigh(100)?;
    let all = async || {
        let Ok(before) = passed(shop, "next", "orders") else { return false };
        let good = (0..20).all(|_| shop.status("customer", "http://web.shop/") == 200);
        good && passed(shop, "next", "orders").is_ok_and(|now| now - before == 20)
    };
    eventually("it has all", STARTED, all).await?;
    ensure!(shop.status("customer", "http://web.shop/admin") == 403, "with the same policies");
    Ok(())
}
