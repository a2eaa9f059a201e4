//! Two nodes, the shop in its pods, the mesh; and the first scene, which builds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testbed::mesh::{Mesh, MeshPod, MeshService};
use testbed::{Command, Process, Testbed};

use super::customer::Customer;
use super::kube_proxy::{self, Forward};
use super::narrator::Narrator;

/// The shop's namespace.
pub(super) const SHOP: &str = "shop";
/// Where the shop's services listen.
const PORT: u16 = 8080;
/// Where the policy engine listens.
const ENGINE_PORT: u16 = 9000;
/// How long curl may take.
const CURL_LIMIT: Duration = Duration::from_secs(15);

/// What the policy engine knows at first.
pub(super) const RELATIONS: &str = "\
# Who may do what: SUBJECT reads|writes SERVICE:/PATH
shop/web     reads  orders:/orders
";

/// Pods of the shop: name, node, arguments of `ambit shop serve`.
const SERVICES: [(&str, &str, &[&str]); 5] = [
    ("web", "node-a", &["web"]),
    ("orders", "node-b", &["orders"]),
    ("payments-v1", "node-a", &["payments", "--version", "v1"]),
    ("payments-v2", "node-a", &["payments", "--version", "v2"]),
    ("inventory", "node-a", &["inventory"]),
];

/// Everything that scenes work with.
pub(super) struct Stage {
    // Programs before the mesh: dropped in this order.
    pub(super) customer: Customer,
    pub(super) engine: Option<Process>,
    pods: BTreeMap<String, MeshPod>,
    services: BTreeMap<String, MeshService>,
    pub(super) relations: PathBuf,
    pub(super) mesh: Mesh,
}

impl Stage {
    /// Plays the first scene: mesh, shop and customer start.
    ///
    /// # Errors
    /// If something does not start in time; the message shows logs.
    pub(super) async fn build(narrator: &Narrator) -> anyhow::Result<Self> {
        let began = Instant::now();
        let bed = Testbed::new()?;
        let ambit = std::env::current_exe()?;
        let starting = Mesh::start(&bed, ambit);
        let mesh = narrator.wait("control, node agents and ztunnels start", starting).await?;
        let ready = began.elapsed().as_secs_f64();
        narrator.fact(format!("control, 2 node agents and 2 ztunnels: ready in {ready:.1} s"));
        let opening = Shop::open(&mesh);
        let (shop, customer) = narrator.wait("the shop opens", opening).await?;
        let programs = shop.pods.len();
        narrator.fact(format!(
            "{programs} pods with their own addresses and programs; the namespace has no label"
        ));
        if !shop.pods.contains_key("catalogue") {
            narrator.note("nginx is not installed: the shop has no catalogue.");
        }
        let first = customer.served(1);
        let tally = narrator.wait("the customer waits for the first lamp", first).await?;
        anyhow::ensure!(tally.failed == 0, "the customer was refused: {:?}", tally.failures);
        let first = began.elapsed().as_secs_f64();
        narrator.fact(format!("the customer has its first lamp {first:.1} s after the start"));
        let Shop { pods, services, relations } = shop;
        Ok(Self { customer, engine: None, pods, services, relations, mesh })
    }

    /// A pod of the shop.
    ///
    /// # Errors
    /// If there is none of this name.
    pub(super) fn pod(&self, name: &str) -> anyhow::Result<&MeshPod> {
        self.pods.get(name).with_context(|| format!("no pod {name}"))
    }

    /// All pods of the shop.
    pub(super) fn pods(&self) -> impl Iterator<Item = &MeshPod> {
        self.pods.values()
    }

    /// Whether nginx serves a catalogue.
    pub(super) fn has_catalogue(&self) -> bool {
        self.pods.contains_key("catalogue")
    }

    /// Status and body of what curl gets in a pod.
    ///
    /// # Errors
    /// If curl gets no answer at all.
    pub(super) async fn curl(&self, pod: &str, url: &str) -> anyhow::Result<(u16, String)> {
        let command = self.pod(pod)?.command("curl");
        let args =
            ["--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"];
        let done = command.args(args).arg(url).run(CURL_LIMIT).await?.success()?;
        let (body, status) = done.rsplit_once('\n').context("curl wrote no status")?;
        Ok((status.parse()?, body.to_owned()))
    }

    /// Changes a service's label in its manifest.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(super) fn label_service(
        &mut self,
        name: &str,
        key: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let service = self.services.get_mut(name).with_context(|| format!("no service {name}"))?;
        service.manifest["metadata"]["labels"][key] = value.into();
        Ok(self.mesh.apply(&service.manifest)?)
    }

    /// Starts the policy engine in its pod and waits until it answers there.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) async fn start_engine(&mut self) -> anyhow::Result<()> {
        let command = self.pod("policy")?.command(std::env::current_exe()?);
        let command = command.args(["shop", "policy", "--relations"]).arg(&self.relations);
        let mut engine = command.named("policy").spawn()?;
        engine.logs("policy engine ready", CURL_LIMIT).await?;
        self.engine = Some(engine);
        Ok(())
    }
}

/// The shop while it opens.
struct Shop {
    pods: BTreeMap<String, MeshPod>,
    services: BTreeMap<String, MeshService>,
    relations: PathBuf,
}

impl Shop {
    async fn open(mesh: &Mesh) -> anyhow::Result<(Self, Customer)> {
        let directory = mesh.bed().directory("shop")?;
        let relations = mesh.manifests().path().join("relations.txt");
        std::fs::write(&relations, RELATIONS)?;
        let mut shop = Self { pods: BTreeMap::new(), services: BTreeMap::new(), relations };
        shop.services(mesh)?;
        let ambit = std::env::current_exe()?;
        for (name, node, arguments) in SERVICES {
            let pod = shop.pod(mesh, name, node).await?;
            let command = pod.command(&ambit).named(name).args(["shop", "serve"]).args(arguments);
            pod.serve(&command, PORT).await?;
        }
        shop.pod(mesh, "policy", "node-b").await?;
        if let Some(nginx) = nginx() {
            let pod = shop.pod(mesh, "catalogue", "node-b").await?;
            let files = mesh.bed().directory("nginx")?;
            pod.serve(&serve_catalogue(&pod, &nginx, &files)?, PORT).await?;
        }
        kube_proxy::install(mesh, &shop.forwards()?)?;
        let pod = shop.pod(mesh, "customer", "node-b").await?;
        let customer = Customer::start(&pod, directory.join("customer.sock")).await?;
        Ok((shop, customer))
    }

    fn services(&mut self, mesh: &Mesh) -> anyhow::Result<()> {
        let names = ["web", "orders", "payments", "payments-v1", "payments-v2", "inventory"];
        for name in names.into_iter().chain(nginx().map(|_| "catalogue")) {
            let request = mesh.service(&format!("{SHOP}/{name}")).named_port("http", 80, PORT);
            // All orders pay at v1 until a route says otherwise.
            let request =
                if name == "payments" { request.selecting("app", "payments-v1") } else { request };
            self.services.insert(name.to_owned(), request.create()?);
        }
        let engine = mesh.service(&format!("{SHOP}/policy"));
        let engine = engine.named_port("grpc", ENGINE_PORT, ENGINE_PORT).create()?;
        self.services.insert("policy".to_owned(), engine);
        Ok(())
    }

    async fn pod(&mut self, mesh: &Mesh, name: &str, node: &str) -> anyhow::Result<MeshPod> {
        let pod = mesh.pod(&format!("{SHOP}/{name}")).on(node).await?;
        self.pods.insert(name.to_owned(), pod.clone());
        Ok(pod)
    }

    fn forwards(&self) -> anyhow::Result<Vec<Forward>> {
        let forward = |(name, service): (&String, &MeshService)| {
            let behind = if name == "payments" { "payments-v1" } else { name };
            let pod = self.pods.get(behind).with_context(|| format!("no pod {behind}"))?.clone();
            let (port, target) = match name.as_str() {
                "policy" => (ENGINE_PORT, ENGINE_PORT),
                _ => (80, PORT),
            };
            Ok(Forward { service: service.clone(), port, pod, target })
        };
        self.services.iter().map(forward).collect()
    }
}

/// nginx, where it is installed.
fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    directories.into_iter().map(|directory| directory.join("nginx")).find(|path| path.is_file())
}

/// nginx with files of its own, so that it touches none of the machine's.
fn serve_catalogue(pod: &MeshPod, nginx: &Path, files: &Path) -> anyhow::Result<Command> {
    let at = files.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {at}/{kind};\n"))
        .concat();
    // In a user namespace no other user is there to own the temporary files.
    let configuration = format!(
        "user root root;\ndaemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr;\n\
         events {{}}\nhttp {{\n  access_log off;\n{temporary}  server {{\n    \
         listen {PORT};\n    listen [::]:{PORT};\n    default_type text/plain;\n    \
         location / {{ return 200 \"One lamp, 25 EUR.\\n\"; }}\n  }}\n}}\n"
    );
    let file = files.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let command = pod.command(nginx).args(["-e", "stderr", "-p"]).arg(files);
    Ok(command.arg("-c").arg(file))
}
