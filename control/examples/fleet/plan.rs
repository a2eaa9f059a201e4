//! The mesh that is simulated: who runs where, and who calls whom.

use std::fmt::Write as _;
use std::path::Path;

use observe::pb::{EdgeKey, Party};

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) workloads: usize,
    pub(crate) namespaces: usize,
    pub(crate) edges: usize,
    /// Namespaces whose services are behind a waypoint.
    pub(crate) waypoints: usize,
}

/// Pods of each workload.
pub(crate) const PODS: usize = 2;

/// A workload calls another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) source: usize,
    pub(crate) destination: usize,
}

/// What one proxy counts.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: EdgeKey,
    pub(crate) source_pod: String,
    pub(crate) destination_pod: String,
    /// The policy that refuses some of it.
    pub(crate) refused_by: Option<String>,
}

impl Size {
    pub(crate) fn node(n: usize) -> String {
        format!("node-{n:03}")
    }

    pub(crate) fn namespace(self, workload: usize) -> String {
        format!("team-{:02}", workload % self.namespaces)
    }

    pub(crate) fn workload(n: usize) -> String {
        format!("service-{n:03}")
    }

    pub(crate) fn pod(workload: usize, n: usize) -> String {
        format!("{}-{n}", Self::workload(workload))
    }

    /// The node of a pod: pods of one workload are apart.
    pub(crate) fn node_of(self, workload: usize, pod: usize) -> usize {
        (workload * 7 + pod * 37) % self.nodes
    }

    pub(crate) fn has_waypoint(self, workload: usize) -> bool {
        workload % self.namespaces < self.waypoints
    }

    /// The node of a namespace's waypoint.
    pub(crate) fn node_of_waypoint(self, namespace: usize) -> usize {
        (namespace * 11 + 3) % self.nodes
    }

    pub(crate) fn service(self, workload: usize) -> String {
        let namespace = self.namespace(workload);
        format!("{namespace}/{}.{namespace}.svc.cluster.local", Self::workload(workload))
    }

    /// Every pair once; each workload calls as many others.
    pub(crate) fn pairs(self) -> Vec<Pair> {
        let pair = |n: usize| {
            let (source, round) = (n % self.workloads, n / self.workloads);
            let away = 1 + round * 17 + round * round * 3;
            Pair { source, destination: (source + away) % self.workloads }
        };
        (0..self.edges).map(pair).collect()
    }

    fn party(self, workload: usize) -> Party {
        let (namespace, workload) = (self.namespace(workload), Self::workload(workload));
        let identity = format!("spiffe://cluster.local/ns/{namespace}/sa/{workload}");
        Party { namespace, workload, identity }
    }

    fn waypoint(self, workload: usize) -> Party {
        let namespace = self.namespace(workload);
        let identity = format!("spiffe://cluster.local/ns/{namespace}/sa/waypoint");
        Party { namespace, workload: "waypoint".to_owned(), identity }
    }

    fn key(self, reporter: &str, source: Party, destination: Party, called: usize) -> EdgeKey {
        EdgeKey {
            reporter: reporter.to_owned(),
            source: Some(source),
            destination: Some(destination),
            service: self.service(called),
            port: 8080,
            protocol: "tcp".to_owned(),
            security: "mtls".to_owned(),
            ..EdgeKey::default()
        }
    }

    /// What the ztunnel of each node counts.
    pub(crate) fn rows(self) -> Vec<Vec<Row>> {
        let mut rows = vec![Vec::new(); self.nodes];
        for (n, pair) in self.pairs().into_iter().enumerate() {
            let Pair { source, destination } = pair;
            let (from, to) = (self.party(source), self.party(destination));
            let between = self.has_waypoint(destination).then(|| self.waypoint(destination));
            let out = self.key(
                "source",
                from.clone(),
                between.clone().unwrap_or(to.clone()),
                destination,
            );
            let inward = self.key("destination", between.unwrap_or(from), to, destination);
            let policy = (n % 20 == 0).then(|| format!("{}/narrow", self.namespace(destination)));
            for pod in 0..PODS {
                let (source_pod, destination_pod) =
                    (Self::pod(source, pod), Self::pod(destination, pod));
                let row = |key: &EdgeKey, refused_by: Option<String>| Row {
                    key: key.clone(),
                    source_pod: source_pod.clone(),
                    destination_pod: destination_pod.clone(),
                    refused_by,
                };
                if let Some(rows) = rows.get_mut(self.node_of(source, pod)) {
                    rows.push(row(&out, None));
                }
                if let Some(rows) = rows.get_mut(self.node_of(destination, pod)) {
                    rows.push(row(&inward, policy.clone()));
                }
            }
        }
        rows
    }

    /// What the waypoint of each namespace counts that has one.
    pub(crate) fn waypoint_rows(self) -> Vec<Vec<Row>> {
        let mut rows = vec![Vec::new(); self.waypoints];
        for pair in self.pairs() {
            let Pair { source, destination } = pair;
            let Some(rows) = rows.get_mut(destination % self.namespaces) else { continue };
            let namespace = self.namespace(destination);
            let key = EdgeKey {
                protocol: "http".to_owned(),
                waypoint: format!("{namespace}/waypoint"),
                route: format!("HTTPRoute {namespace}/routes"),
                rule: "0".to_owned(),
                backend: self.service(destination),
                ..self.key("waypoint", self.party(source), self.party(destination), destination)
            };
            rows.push(Row {
                key,
                source_pod: Self::pod(source, 0),
                destination_pod: Self::pod(destination, 0),
                refused_by: None,
            });
        }
        rows
    }

    /// Writes the manifests, a file for each kind.
    pub(crate) fn write(self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut texts: [(&str, String); 4] =
            ["nodes", "namespaces", "workloads", "policies"].map(|name| (name, String::new()));
        let [(_, nodes), (_, namespaces), (_, workloads), (_, policies)] = &mut texts;
        for n in 0..self.nodes {
            let _ = write!(
                nodes,
                "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {}}}\n",
                Self::node(n)
            );
        }
        for n in 0..self.namespaces {
            let name = self.namespace(n);
            let _ = write!(
                namespaces,
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{istio.io/dataplane-mode: ambient}}}}\n"
            );
            let _ = write!(policies, "{}", policy(&name));
            if n < self.waypoints {
                let node = Self::node(self.node_of_waypoint(n));
                let _ = write!(namespaces, "{}", waypoint(&name, n, &node));
            }
        }
        for n in 0..self.workloads {
            let _ = write!(workloads, "{}", self.manifests(n));
        }
        for (name, text) in &texts {
            std::fs::write(directory.join(format!("{name}.yaml")), text)?;
        }
        Ok(())
    }

    fn manifests(self, n: usize) -> String {
        let (namespace, name) = (self.namespace(n), Self::workload(n));
        let mut text = format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{clusterIP: 10.96.{}.{}, selector: {{app: {name}}}, ports: [{{name: http, port: 8080}}]}}\n",
            n / 250,
            n % 250 + 1
        );
        for pod in 0..PODS {
            let (on, name_of_pod) = (self.node_of(n, pod), Self::pod(n, pod));
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name_of_pod}, namespace: {namespace}, uid: uid-{name_of_pod}, \
                 labels: {{app: {name}, service.istio.io/workload-name: {name}}}}}\n\
                 spec: {{nodeName: {}, serviceAccountName: {name}, containers: [{{name: c, image: i}}]}}\n\
                 status: {{phase: Running, podIP: 10.{}.{}.{}}}\n",
                Self::node(on),
                128 + pod,
                n / 250,
                n % 250 + 1
            );
        }
        text
    }
}

fn policy(namespace: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: narrow, namespace: {namespace}}}\n\
         spec: {{action: DENY, rules: [{{from: [{{source: {{principals: [cluster.local/ns/{namespace}/sa/nobody]}}}}]}}]}}\n"
    )
}

fn waypoint(namespace: &str, n: usize, node: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: waypoint, namespace: {namespace}}}\n\
         spec: {{gatewayClassName: istio-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}\n\
         ---\napiVersion: v1\nkind: Pod\nmetadata: {{name: waypoint-0, namespace: {namespace}, uid: uid-waypoint-{n}, \
         labels: {{gateway.networking.k8s.io/gateway-name: waypoint, service.istio.io/workload-name: waypoint}}}}\n\
         spec: {{nodeName: {node}, serviceAccountName: waypoint, containers: [{{name: c, image: i}}]}}\n\
         status: {{phase: Running, podIP: 10.130.0.{}}}\n",
        n + 1
    )
}
