//! `ambit check`: what is wrong, and how to put it right.
//!
//! - [`finding`]: one thing that is not as it should be
//! - [`before`]: a cluster before an installation; [`machine`]: a machine before it is a node
//! - [`processes`]: control and proxies; [`certificates`]: theirs
//! - [`pods`]: labelled, captured, proven
//! - [`objects`]: what control says of each object; [`offline`]: the same without a control plane
//! - [`policies`]: what no single object shows: selectors, strictness, providers

mod before;
mod certificates;
mod finding;
mod machine;
mod objects;
mod offline;
mod pods;
mod policies;
mod processes;

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::mesh::{Kind, Mesh, Objects, Where};
use crate::status;
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean};

use self::finding::{Finding, Severity};

/// What to look at.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Before an installation: whether this cluster can take Ambit, or whether the manifests of
    /// --directory are right
    #[arg(long)]
    before: bool,

    /// Whether this machine can be a node: kernel, nftables, free ports
    #[arg(long, conflicts_with_all = ["before", "node"])]
    machine: bool,

    /// Only what concerns this node: its ztunnel, its waypoints, its pods
    #[arg(long)]
    node: Option<String>,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `-o json`.
#[derive(Debug, Serialize)]
struct Findings {
    /// What was looked at.
    mesh: String,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// Looks.
///
/// # Errors
/// If there is nothing to look at.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let (mesh, findings) = if options.machine {
        ("this machine".to_owned(), machine::look().await)
    } else if options.before && options.place.given_directory().is_none() {
        before::look(&options.place).await?
    } else {
        let mesh = options.place.find().await?;
        let findings = look(&mesh, options).await?;
        (mesh.name(), findings)
    };
    let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    options.show.print(&Findings { mesh, errors, warnings, findings })?;
    Ok(if errors > 0 { Outcome::Wrong } else { Outcome::Fine })
}

async fn look(mesh: &Mesh, options: &Options) -> Result<Vec<Finding>, Failure> {
    let members = mesh.members().await?;
    let mut findings = Vec::new();
    let objects = match mesh.objects().await {
        Ok(objects) => Some(objects),
        Err(failure) if mesh.cluster().is_some() => return Err(failure),
        Err(_) => None,
    };
    let has_control = members.iter().any(|member| member.kind == Kind::Control);
    if options.before || (members.is_empty() && objects.is_some()) {
        if !options.before {
            findings.push(processes::none(mesh));
        }
        let objects = objects.unwrap_or_default();
        let report = offline::report(&objects, mesh.manifests())?;
        findings.extend(objects::of_report(&report, true));
        findings.extend(policies::of(&objects, None));
        return Ok(arrange(findings, mesh, options, &objects));
    }
    if let Some(node) = &options.node {
        know_node(node, &objects, &members)?;
    }
    let objects = objects.unwrap_or_default();
    findings.extend(processes::of(&members, &objects).await);
    let one = members.len() == 1 && !has_control;
    findings.extend(certificates::of(&members).await);
    if !one {
        if let Ok(dump) = mesh.control_dump().await {
            findings.extend(processes::silent(&dump));
        }
        match mesh.control_status().await {
            Ok(report) => findings.extend(objects::of_report(&report, false)),
            Err(_) => {
                let report = offline::report(&objects, mesh.manifests())?;
                findings.extend(objects::of_report(&report, true));
            }
        }
        let standing = status::look(mesh).await.ok();
        if let Some(standing) = &standing {
            findings.extend(pods::of(standing));
        }
        findings.extend(policies::of(&objects, standing.as_ref()));
    }
    Ok(arrange(findings, mesh, options, &objects))
}

/// That there is such a node.
fn know_node(
    node: &str,
    objects: &Option<Objects>,
    members: &[crate::mesh::Member],
) -> Result<(), Failure> {
    let named = objects.iter().flat_map(|objects| objects.of("Node").map(|one| one.name()));
    let known: Vec<&str> = named
        .chain(members.iter().map(|member| member.node.as_str()))
        .filter(|name| !name.is_empty())
        .collect();
    if known.contains(&node) { Ok(()) } else { Err(Failure::unknown("node", node, known)) }
}

/// Only what was asked for, the worst first.
fn arrange(
    mut findings: Vec<Finding>,
    mesh: &Mesh,
    options: &Options,
    objects: &Objects,
) -> Vec<Finding> {
    if let Some(only) = mesh.namespaces.only() {
        findings.retain(|one| one.namespace.is_empty() || one.namespace == only);
    }
    if let Some(node) = &options.node {
        findings.retain(|one| match one.node.as_str() {
            "" => objects.of("Pod").any(|pod| {
                pod.title() == one.object && pod.value["spec"]["nodeName"] == node.as_str()
            }),
            own => own == node,
        });
    }
    findings.sort_by(|a, b| {
        (a.severity, a.id, &a.object, &a.problem).cmp(&(b.severity, b.id, &b.object, &b.problem))
    });
    findings.dedup();
    findings
}

impl Listing for Findings {
    fn table(&self) -> Table {
        let columns = [
            Column::text("SEVERITY"),
            Column::text("ID"),
            Column::text("OBJECT"),
            Column::text("PROBLEM"),
            Column::text("FIX"),
        ];
        let mut table = Table::new(&columns, format!("nothing is wrong in {}", clean(&self.mesh)));
        for one in &self.findings {
            table.row([
                Cell::styled(one.severity.name(), one.severity.style()),
                one.id.into(),
                one.object.as_str().into(),
                one.problem.as_str().into(),
                one.fix.as_str().into(),
            ]);
        }
        table
    }

    /// Sentences are long: each finding has lines of its own. `-o wide` has one line for each.
    fn plain(&self, colour: bool) -> String {
        if self.findings.is_empty() {
            return self.table().render(false, colour);
        }
        let mut text = String::new();
        for one in &self.findings {
            text += &format!(
                "{} {} {}\n    {}\n    fix: {}\n",
                one.severity.style().paint(one.severity.name(), colour),
                Style::Heading.paint(one.id, colour),
                clean(&one.object),
                clean(&one.problem),
                clean(&one.fix)
            );
        }
        text
    }

    fn footer(&self) -> String {
        match self.findings.len() {
            0 => String::new(),
            _ => format!(
                "\n{}: {} errors, {} warnings\n",
                clean(&self.mesh),
                self.errors,
                self.warnings
            ),
        }
    }
}
