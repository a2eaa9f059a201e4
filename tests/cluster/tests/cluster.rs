//! The cluster itself: real nodes, real containers, and what can befall them.

use std::path::Path;
use std::time::Duration;

use cluster::Cluster;
use cluster::folders;
use cluster::plan::Plan;
use testbed::Testbed;
use testbed::wait::eventually;

/// A server on `node-b` behind a Service, and a client on `node-a`.
const PROGRAMS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: local.test/base:1
      imagePullPolicy: Never
      command: [/bin/sh, -c, 'mkdir /www; echo open > /www/index.html; exec httpd -f -p 8080 -h /www']
      readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  nodeName: node-a
  terminationGracePeriodSeconds: 0
  containers:
    - name: client
      image: local.test/base:1
      imagePullPolicy: Never
      command: [sleep, '2147483647']
";

/// What the client gets from `url`.
fn ask(cluster: &Cluster, url: &str) -> anyhow::Result<String> {
    let fetch = ["exec", "-n", "shop", "client", "--", "curl", "-sSf", "--max-time", "2", url];
    cluster.kubectl().run(&fetch)
}

async fn serves(cluster: &Cluster, url: &str) -> anyhow::Result<()> {
    let opened = async || ask(cluster, url).is_ok_and(|page| page == "open\n");
    eventually(format!("{url} is open"), Duration::from_mins(1), opened).await?;
    Ok(())
}

testbed::scenario! {
    #[ignore = "starts two kubelets"]
    within 400;
    async fn containers_on_two_nodes_talk_and_outlive_a_reboot(_bed: Testbed) -> anyhow::Result<()> {
        let program = Path::new(env!("CARGO_BIN_EXE_ambit-cluster"));
        let plan = Plan::new("test", 2, &folders::target(), program);
        let say = |what: &str| eprintln!("{what}");
        let mut cluster = Cluster::start(&plan, &folders::binaries()?, &[], &say).await?;
        cluster.kubectl().apply(PROGRAMS)?;
        serves(&cluster, "http://server.shop.svc.cluster.local/").await?;
        let service = cluster.kubectl().get(&["service", "server", "-n", "shop"])?;
        for address in service["spec"]["clusterIPs"].as_array().into_iter().flatten() {
            let address = address.as_str().unwrap_or_default();
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            serves(&cluster, &format!("http://{host}/")).await?;
        }
        let node = cluster.node("node-b")?;
        node.crash()?;
        assert!(ask(&cluster, "http://server/").is_err(), "nobody serves on a node that is down");
        cluster.node("node-b")?.boot().await?;
        cluster.ready().await?;
        serves(&cluster, "http://server/").await?;
        Ok(())
    }
}
