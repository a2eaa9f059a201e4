//! `ambit version`: of this command, of control and of every proxy; and whether they fit.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::mesh::{self, Kind, Where};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only that of this command
    #[arg(long)]
    client: bool,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// The version of this command.
pub(crate) const OURS: &str = env!("CARGO_PKG_VERSION");

/// `-o json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Versions {
    client: String,
    /// Whether any process has another version than this command.
    skew: bool,
    processes: Vec<Process>,
}

#[derive(Clone, Debug, Serialize)]
struct Process {
    kind: Kind,
    node: String,
    name: String,
    /// Empty if it is not known.
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

/// Shows them.
///
/// # Errors
/// If the API server does not tell of processes.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut versions = Versions { client: OURS.to_owned(), skew: false, processes: Vec::new() };
    let mut outcome = Outcome::Fine;
    if !options.client {
        match options.place.find().await {
            Ok(mesh) => {
                let answers = mesh::ask_all(mesh.members().await?, async |one| one.facts().await);
                for (member, facts) in answers.await {
                    let error = facts.as_ref().err().map(|error| format!("{error:#}"));
                    let version = facts.ok().and_then(|facts| facts.version).unwrap_or_default();
                    versions.processes.push(Process {
                        kind: member.kind,
                        node: member.node.clone(),
                        name: member.pod(),
                        version,
                        error: error.unwrap_or_default(),
                    });
                }
            }
            Err(failure) => {
                crate::warn(&failure.to_string());
                outcome = Outcome::Partial;
            }
        }
    }
    let known = versions.processes.iter().filter(|one| !one.version.is_empty());
    versions.skew = known.clone().any(|one| one.version != versions.client);
    if known.count() < versions.processes.len() {
        outcome = Outcome::Partial;
    }
    options.show.print(&versions)?;
    Ok(outcome)
}

impl Listing for Versions {
    fn table(&self) -> Table {
        let columns = [
            Column::text("COMPONENT"),
            Column::text("NODE"),
            Column::text("VERSION"),
            Column::text("NAME").wide(),
        ];
        let mut table = Table::new(&columns, "");
        table.row(["ambit".into(), Cell::default(), self.client.as_str().into(), Cell::default()]);
        for process in &self.processes {
            let version = match process.version.as_str() {
                "" => Cell::styled("unknown", Style::Warning),
                same if same == self.client => same.into(),
                other => Cell::styled(other, Style::Warning),
            };
            table.row([
                process.kind.name().into(),
                process.node.as_str().into(),
                version,
                process.name.as_str().into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        let mut text = String::new();
        for process in self.processes.iter().filter(|process| !process.error.is_empty()) {
            text += &format!("unknown: {}\n", clean(&process.error));
        }
        let versions: BTreeSet<&str> = self
            .processes
            .iter()
            .map(|one| one.version.as_str())
            .filter(|v| !v.is_empty())
            .collect();
        if self.skew {
            let all: Vec<_> = versions.into_iter().map(clean).collect();
            text += &format!(
                "skew: the mesh runs {}, this command is {}\n",
                all.join(" and "),
                self.client
            );
        } else if !versions.is_empty() {
            text += "no skew: all are of one version\n";
        }
        text
    }
}
