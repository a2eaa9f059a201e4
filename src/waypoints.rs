//! `ambit waypoint apply|list|status|delete`: Gateways of the mesh, and who uses them.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use hbone::brand::WAYPOINT_CLASS;
use serde::Serialize;
use serde_json::json;

use crate::enroll::change;
use crate::failed;
use crate::failure::{Failure, Outcome};
use crate::mesh::control::{Condition, StatusReport};
use crate::mesh::{Mesh, Object, Objects, Where};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean, progress};

/// The label that names a waypoint, on a Namespace, Service or Pod.
pub(crate) const USE: &str = "istio.io/use-waypoint";
/// Where that waypoint is, if not in the same namespace.
const USE_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
/// Whose traffic a waypoint takes.
const FOR: &str = "istio.io/waypoint-for";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring a waypoint into a namespace, and wait until it is ready
    Apply(ApplyOptions),
    /// List waypoints: how many of their instances are ready, and who uses them
    List(ListOptions),
    /// Show one waypoint: what control says of it
    Status(OneOptions),
    /// Delete a waypoint that nobody uses
    Delete(DeleteOptions),
}

/// Whose traffic a waypoint takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum For {
    /// What is sent to Services
    #[default]
    Service,
    /// What is sent to pods
    Workload,
    /// Both
    All,
    /// Nothing yet
    None,
}

impl For {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Workload => "workload",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// `ambit waypoint apply`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyOptions {
    /// Its name
    #[arg(default_value = "waypoint")]
    name: String,

    /// Whose traffic it takes
    #[arg(long = "for", value_enum, default_value_t)]
    whose: For,

    /// Label the namespace too, so that its services use it
    #[arg(long)]
    enroll_namespace: bool,

    /// Seconds until it must be ready; 0 waits for nothing
    #[arg(long, default_value_t = 60)]
    wait: u64,

    #[command(flatten)]
    place: Where,
}

/// `ambit waypoint list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `ambit waypoint status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneOptions {
    /// Its name, or NAMESPACE/NAME
    #[arg(default_value = "waypoint")]
    name: String,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `ambit waypoint delete`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeleteOptions {
    /// Its name, or NAMESPACE/NAME
    name: String,

    /// Also while somebody uses it: their callers are refused until they no longer do
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    place: Where,
}

/// Does it.
///
/// # Errors
/// If there is no such waypoint, or it may not be changed.
pub(crate) async fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Apply(options) => apply(options).await,
        Command::List(options) => {
            let (_, list) = look(&options.place).await?;
            options.show.print(&list)?;
            Ok(Outcome::Fine)
        }
        Command::Status(options) => {
            let (mesh, list) = look(&options.place).await?;
            let row = list.find(&mesh, &options.name)?;
            options.show.print(&Details(row.clone()))?;
            Ok(if row.ready { Outcome::Fine } else { Outcome::Wrong })
        }
        Command::Delete(options) => delete(options).await,
    }
}

async fn apply(options: &ApplyOptions) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let objects = mesh.objects().await?;
    let namespace = mesh.namespaces.default();
    let known: Vec<&str> = objects.all.iter().map(Object::namespace).collect();
    if !known.contains(&namespace) && objects.find("Namespace", "", namespace).is_none() {
        return Err(Failure::unknown("namespace", namespace, known));
    }
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": options.name, "namespace": namespace,
            "labels": {FOR: options.whose.name()}},
        "spec": {"gatewayClassName": WAYPOINT_CLASS,
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]},
    });
    println!("{}", clean(&change::apply(&mesh, &objects, &gateway).await?));
    let title = format!("Gateway {namespace}/{}", options.name);
    if options.wait > 0 {
        ready(&mesh, &title, Duration::from_secs(options.wait)).await?;
    }
    if options.enroll_namespace {
        // Last: until an instance is ready, who uses it is refused.
        let object = ("Namespace", "", namespace);
        let said = change::label(&mesh, &objects, object, USE, Some(&options.name)).await?;
        println!("{}", clean(&said));
    } else {
        println!(
            "next: ambit waypoint apply --enroll-namespace, or label a service {USE}={}",
            options.name
        );
    }
    Ok(Outcome::Fine)
}

async fn ready(mesh: &Mesh, title: &str, limit: Duration) -> Result<(), Failure> {
    let began = Instant::now();
    let waiting = async {
        loop {
            let report = mesh.control_status().await?;
            let programmed = condition(&report, title, "Programmed");
            if let Some(programmed) = programmed.filter(|programmed| programmed.status) {
                return Ok(programmed.message.clone());
            }
            if began.elapsed() > limit {
                let why = programmed.map_or("control has not seen it", |one| one.message.as_str());
                return Err(failed!("{title} is not ready after {} s: {why}", limit.as_secs()));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let message = progress::during("its instances start", waiting).await?;
    println!("ready after {:.1} s: {}", began.elapsed().as_secs_f64(), clean(&message));
    Ok(())
}

async fn delete(options: &DeleteOptions) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let objects = mesh.objects().await?;
    let report = mesh.control_status().await.unwrap_or_default();
    let list = Waypoints::of(&objects, &report, |_| true);
    let row = list.find(&mesh, &options.name)?;
    if !row.users.is_empty() && !options.force {
        return Err(failed!(
            "{}/{} is used by {}; without it their callers are refused. Take the label {USE} off \
             first, or give --force",
            row.namespace,
            row.name,
            row.users.join(", ")
        ));
    }
    let object = objects.find("Gateway", &row.namespace, &row.name);
    let object = object.ok_or_else(|| failed!("{} is gone", options.name))?;
    println!("{}", clean(&change::delete(&mesh, object).await?));
    Ok(Outcome::Fine)
}

async fn look(place: &Where) -> Result<(Mesh, Waypoints), Failure> {
    let mesh = place.find().await?;
    let objects = mesh.objects().await?;
    let report = match mesh.control_status().await {
        Ok(report) => report,
        Err(failure) => {
            crate::warn(&failure.to_string());
            StatusReport::default()
        }
    };
    let list = Waypoints::of(&objects, &report, |namespace| mesh.namespaces.has(namespace));
    Ok((mesh, list))
}

/// A condition of an object.
fn condition<'a>(report: &'a StatusReport, title: &str, kind: &str) -> Option<&'a Condition> {
    report.objects.get(title)?.iter().find(|condition| condition.kind == kind)
}

/// `-o json` of `list`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waypoints {
    waypoints: Vec<Row>,
}

/// A waypoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    namespace: String,
    name: String,
    class: String,
    /// Whose traffic it takes: `service`, `workload`, `all`, `none`.
    #[serde(rename = "for")]
    whose: String,
    /// An instance is ready.
    ready: bool,
    /// What control says of its instances.
    instances: String,
    /// Who names it: `Namespace shop`, `Service shop/orders`.
    users: Vec<String>,
    conditions: Vec<Condition>,
}

/// Whether a Gateway is a waypoint, by its class.
pub(crate) fn is_waypoint(gateway: &Object, objects: &Objects) -> bool {
    let class = gateway.value["spec"]["gatewayClassName"].as_str().unwrap_or_default();
    let controller = objects
        .find("GatewayClass", "", class)
        .map(|class| class.value["spec"]["controllerName"].as_str().unwrap_or_default().to_owned());
    class == WAYPOINT_CLASS || controller.as_deref() == Some(hbone::brand::WAYPOINT_CONTROLLER)
}

impl Waypoints {
    fn of(objects: &Objects, report: &StatusReport, wanted: impl Fn(&str) -> bool) -> Self {
        let gateways = objects.of("Gateway").filter(|gateway| is_waypoint(gateway, objects));
        let rows = gateways.filter(|gateway| wanted(gateway.namespace())).map(|gateway| {
            let title = gateway.title();
            let programmed = condition(report, &title, "Programmed");
            Row {
                namespace: gateway.namespace().to_owned(),
                name: gateway.name().to_owned(),
                class: gateway.value["spec"]["gatewayClassName"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                whose: gateway.label(FOR).unwrap_or("service").to_owned(),
                ready: programmed.is_some_and(|programmed| programmed.status),
                instances: programmed.map(|one| one.message.clone()).unwrap_or_default(),
                users: users(objects, gateway),
                conditions: report.objects.get(&title).cloned().unwrap_or_default(),
            }
        });
        let mut waypoints: Vec<Row> = rows.collect();
        waypoints.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { waypoints }
    }

    fn find(&self, mesh: &Mesh, name: &str) -> Result<&Row, Failure> {
        let (namespace, short) = match name.split_once('/') {
            Some((namespace, short)) => (Some(namespace), short),
            None => (mesh.namespaces.only(), name),
        };
        let mut fitting = self.waypoints.iter().filter(|row| {
            row.name == short && namespace.is_none_or(|namespace| row.namespace == namespace)
        });
        let Some(first) = fitting.next() else {
            let keys: Vec<String> = self
                .waypoints
                .iter()
                .map(|row| format!("{}/{}", row.namespace, row.name))
                .collect();
            return Err(Failure::unknown("waypoint", name, keys.iter().map(String::as_str)));
        };
        if fitting.next().is_some() {
            return Err(Failure::Usage(format!(
                "several namespaces have a waypoint '{short}'; write NAMESPACE/{short}"
            )));
        }
        Ok(first)
    }
}

/// Who names a waypoint by a label.
fn users(objects: &Objects, gateway: &Object) -> Vec<String> {
    let mut users: Vec<String> = objects
        .all
        .iter()
        .filter(|object| {
            let own = match object.kind() {
                "Namespace" => object.name(),
                _ => object.namespace(),
            };
            object.label(USE) == Some(gateway.name())
                && object.label(USE_NAMESPACE).unwrap_or(own) == gateway.namespace()
        })
        .map(Object::title)
        .collect();
    users.sort();
    users
}

impl Row {
    fn ready_cell(&self) -> Cell {
        match (self.ready, self.conditions.is_empty()) {
            (true, _) => Cell::styled("yes", Style::Good),
            (false, true) => Cell::styled("unknown", Style::Warning),
            (false, false) => Cell::styled("no", Style::Bad),
        }
    }
}

impl Listing for Waypoints {
    fn table(&self) -> Table {
        let columns = [
            Column::text("NAMESPACE"),
            Column::text("WAYPOINT"),
            Column::text("FOR"),
            Column::text("READY"),
            Column::text("INSTANCES"),
            Column::text("USED BY"),
            Column::text("CLASS").wide(),
        ];
        let mut table = Table::new(&columns, "no waypoints; bring one with `ambit waypoint apply`");
        for row in &self.waypoints {
            table.row([
                row.namespace.as_str().into(),
                row.name.as_str().into(),
                row.whose.as_str().into(),
                row.ready_cell(),
                row.instances.as_str().into(),
                row.users.join(", ").into(),
                row.class.as_str().into(),
            ]);
        }
        table
    }
}

/// `-o json` of `status`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct Details(Row);

impl Listing for Details {
    fn table(&self) -> Table {
        let columns = [
            Column::text("CONDITION"),
            Column::text("HOLDS"),
            Column::text("REASON"),
            Column::text("MESSAGE"),
        ];
        let Row { namespace, name, .. } = &self.0;
        let empty = format!("control says nothing of {namespace}/{name} yet");
        let mut table = Table::new(&columns, empty);
        for condition in &self.0.conditions {
            table.row([
                condition.kind.as_str().into(),
                Cell::verdict(if condition.status { "yes" } else { "no" }, condition.status),
                condition.reason.as_str().into(),
                condition.message.as_str().into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        match self.0.users.as_slice() {
            [] => format!(
                "\nnobody uses it; label a namespace or service {USE}={}\n",
                clean(&self.0.name)
            ),
            users => format!("\nused by {}\n", clean(&users.join(", "))),
        }
    }
}
