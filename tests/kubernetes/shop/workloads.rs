//! Kinds of workload: a Job that ends, a StatefulSet behind a headless Service, DNS names.

use anyhow::Context as _;
use testbed::eventually;

use super::open::{IMAGE, Shop};
use super::{SOON, STARTED};

/// One that buys once, and ends.
const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: buyer, namespace: shop}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: buyer
          image: IMAGE
          imagePullPolicy: Never
          command: [curl, -sf, --max-time, '5', 'http://inventory.shop.svc.cluster.local/take']
";

/// Two shelves, each with a name of its own.
const SHELVES: &str = "
apiVersion: v1
kind: Service
metadata: {name: shelf, namespace: shop}
spec:
  clusterIP: None
  ipFamilyPolicy: PreferDualStack
  selector: {app: shelf}
  ports: [{name: http, port: 8080, appProtocol: http}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shelf, namespace: shop}
spec:
  serviceName: shelf
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: shelf}}
  template:
    metadata: {labels: {app: shelf}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: shelf
          image: IMAGE
          imagePullPolicy: Never
          command: [sh, -c, 'exec ambit shop serve inventory --version $HOSTNAME']
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
";

/// Only the customer may ask a shelf.
const ONLY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: shelf, namespace: shop}
spec:
  selector: {matchLabels: {app: shelf}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/customer]}}]}]
";

pub(super) async fn play(shop: &Shop) -> anyhow::Result<()> {
    eprintln!("a Job buys and ends");
    shop.apply(&JOB.replace("IMAGE", IMAGE))?;
    let done = async || shop.get("job", "buyer")["status"]["succeeded"] == 1;
    let waited = eventually("the Job succeeds", STARTED, done).await;
    waited.with_context(|| shop.run(&["describe", "pods", "-n", "shop"]).unwrap_or_default())?;

    eprintln!("a StatefulSet behind a headless Service");
    shop.apply(&SHELVES.replace("IMAGE", IMAGE))?;
    shop.rolled_out("statefulset/shelf")?;
    for shelf in ["shelf-0", "shelf-1"] {
        for family in ["-4", "-6"] {
            let url = format!("http://{shelf}.shelf.shop:8080/take");
            let curl = ["curl", "-sf", family, "--max-time", "3", &url];
            let right =
                async || shop.exec("customer", &curl).is_ok_and(|page| page.contains(shelf));
            eventually(format!("{shelf} answers by its name, {family}"), SOON, right).await?;
        }
    }
    // That it was mutual TLS, and not a way around: its policy knows the caller.
    shop.apply(ONLY)?;
    let url = "http://shelf-0.shelf.shop:8080/take";
    let refused = async || shop.status("shelf-1", url) == 0;
    eventually("another is refused", SOON, refused).await?;
    shop.answers("customer", url, 200).await?;
    shop.run(&["delete", "statefulset,service,authorizationpolicy", "shelf", "-n", "shop"])?;
    Ok(())
}
