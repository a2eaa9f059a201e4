//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, in the sandbox itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::binaries::Binaries;
use crate::certificates::{Authority, Pair, token_keys};
use crate::kubectl::{self, Kubectl};
use crate::plan::{API_PORT, API_SERVICE, GATEWAY, GATEWAY6, PODS, Plan, SERVICES};
use crate::service::Service;

/// How long the API server may take until it is ready.
const READY: Duration = Duration::from_mins(2);

/// The running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    services: BTreeMap<String, Service>,
    children: BTreeMap<String, Child>,
    kubectl: Kubectl,
}

/// Certificates and kubeconfigs of the programs.
struct Papers {
    folder: PathBuf,
    api: Pair,
    kubelets: Pair,
    aggregator: Pair,
    tokens: Pair,
    manager: PathBuf,
    scheduler: PathBuf,
}

impl ControlPlane {
    /// Starts it and waits until the API server is ready. `outside` are further addresses
    /// under which it is reached.
    ///
    /// # Errors
    /// If a program does not come up, with the end of its log.
    pub async fn start(
        plan: &Plan,
        binaries: &Binaries,
        authority: &Authority,
        outside: &[IpAddr],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(plan.logs())?;
        let papers = Papers::issue(plan, authority, outside)?;
        let kubectl = Kubectl::new(binaries.path("kubectl"), plan.kubeconfig());
        let all = services(plan, binaries, &papers);
        let services = all.into_iter().map(|service| (service.name.clone(), service)).collect();
        let mut started = Self { services, children: BTreeMap::new(), kubectl };
        for name in ["etcd", "kube-apiserver"] {
            started.run(name)?;
        }
        started.ready().await?;
        for name in ["kube-controller-manager", "kube-scheduler"] {
            started.run(name)?;
        }
        Ok(started)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Starts the program `name`, if it does not run.
    ///
    /// # Errors
    /// If there is none of this name or it cannot be started.
    pub fn run(&mut self, name: &str) -> anyhow::Result<()> {
        let service = self.services.get(name).with_context(|| format!("no program {name}"))?;
        if self.children.contains_key(name) {
            return Ok(());
        }
        let child = service.spawn().with_context(|| format!("starting {name}"))?;
        self.children.insert(name.to_owned(), child);
        Ok(())
    }

    /// Kills the program `name`.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(mut child) = self.children.remove(name) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Waits until the API server answers that it is ready.
    ///
    /// # Errors
    /// If it does not in time or has ended, with the end of its log.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let said = match self.kubectl.run(&["get", "--raw", "/readyz"]) {
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            };
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("{name} ended with {status}:\n{}", self.services[name].tail());
                }
            }
            if began.elapsed() > READY {
                bail!("the API server is not ready: {said}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Papers {
    fn issue(plan: &Plan, authority: &Authority, outside: &[IpAddr]) -> anyhow::Result<Self> {
        let folder = plan.certificates();
        let mut ips: Vec<IpAddr> =
            vec![API_SERVICE.into(), GATEWAY.into(), GATEWAY6.into(), IpAddr::from([127, 0, 0, 1])];
        ips.extend(outside);
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let root = folder.join("ca.crt");
        let config = |user: &str, groups: &[&str]| -> anyhow::Result<PathBuf> {
            let file = user.replace(':', "-");
            let pair = authority.issue(&file, user, groups, &[], &[])?;
            let path = folder.join(format!("{file}.kubeconfig"));
            kubectl::write_config(&path, &plan.api(), &root, &pair)?;
            Ok(path)
        };
        let admin = authority.issue("admin", "admin", &["system:masters"], &[], &[])?;
        kubectl::write_config(&plan.kubeconfig(), &plan.api(), &root, &admin)?;
        let front = Authority::create(&folder, "front")?;
        Ok(Self {
            api: authority.issue("api", "kube-apiserver", &[], &names, &ips)?,
            kubelets: authority.issue(
                "api-kubelets",
                "kube-apiserver",
                &["system:masters"],
                &[],
                &[],
            )?,
            aggregator: front.issue("aggregator", "aggregator", &[], &[], &[])?,
            tokens: token_keys(&folder)?,
            manager: config("system:kube-controller-manager", &[])?,
            scheduler: config("system:kube-scheduler", &[])?,
            folder,
        })
    }

    fn file(&self, name: &str) -> String {
        text(&self.folder.join(name))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn services(plan: &Plan, binaries: &Binaries, papers: &Papers) -> [Service; 4] {
    let service = |name: &str, args: &[(&str, String)]| {
        let args = args.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        Service::new(binaries.path(name), &plan.logs(), args)
    };
    let yes = || "true".to_owned();
    let no = || "false".to_owned();
    [
        service(
            "etcd",
            &[
                ("data-dir", text(&plan.home.join("etcd"))),
                ("listen-client-urls", "http://127.0.0.1:2379".to_owned()),
                ("advertise-client-urls", "http://127.0.0.1:2379".to_owned()),
                ("listen-peer-urls", "http://127.0.0.1:2380".to_owned()),
                // The disk outlives the cluster's processes, not the machine.
                ("unsafe-no-fsync", yes()),
            ],
        ),
        service(
            "kube-apiserver",
            &[
                ("etcd-servers", "http://127.0.0.1:2379".to_owned()),
                ("advertise-address", GATEWAY.to_string()),
                ("secure-port", API_PORT.to_string()),
                ("tls-cert-file", text(&papers.api.certificate)),
                ("tls-private-key-file", text(&papers.api.key)),
                ("client-ca-file", papers.file("ca.crt")),
                ("kubelet-certificate-authority", papers.file("ca.crt")),
                ("kubelet-client-certificate", text(&papers.kubelets.certificate)),
                ("kubelet-client-key", text(&papers.kubelets.key)),
                ("kubelet-preferred-address-types", "InternalIP".to_owned()),
                ("requestheader-client-ca-file", papers.file("front.crt")),
                ("requestheader-allowed-names", "aggregator".to_owned()),
                ("requestheader-username-headers", "X-Remote-User".to_owned()),
                ("requestheader-group-headers", "X-Remote-Group".to_owned()),
                ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
                ("proxy-client-cert-file", text(&papers.aggregator.certificate)),
                ("proxy-client-key-file", text(&papers.aggregator.key)),
                ("enable-aggregator-routing", yes()),
                ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
                ("service-account-key-file", text(&papers.tokens.certificate)),
                ("service-account-signing-key-file", text(&papers.tokens.key)),
                ("service-cluster-ip-range", SERVICES.to_owned()),
                ("authorization-mode", "Node,RBAC".to_owned()),
                ("enable-admission-plugins", "NodeRestriction".to_owned()),
                ("allow-privileged", yes()),
                ("audit-policy-file", text(&plan.audit_policy())),
                ("audit-log-path", text(&plan.audit())),
                ("profiling", no()),
            ],
        ),
        service(
            "kube-controller-manager",
            &[
                ("kubeconfig", text(&papers.manager)),
                ("bind-address", "127.0.0.1".to_owned()),
                ("service-account-private-key-file", text(&papers.tokens.key)),
                ("root-ca-file", papers.file("ca.crt")),
                ("cluster-signing-cert-file", papers.file("ca.crt")),
                ("cluster-signing-key-file", papers.file("ca.key")),
                ("use-service-account-credentials", yes()),
                ("cluster-cidr", PODS.to_owned()),
                ("service-cluster-ip-range", SERVICES.to_owned()),
                // Nodes come with their subnets: the wires are there before the kubelets.
                ("allocate-node-cidrs", no()),
                ("leader-elect", no()),
                ("profiling", no()),
            ],
        ),
        service(
            "kube-scheduler",
            &[
                ("kubeconfig", text(&papers.scheduler)),
                ("bind-address", "127.0.0.1".to_owned()),
                ("leader-elect", no()),
                ("profiling", no()),
            ],
        ),
    ]
}
