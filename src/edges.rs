//! `ambit edges`: who talks to whom, by mutual TLS or not, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use observe::pb::{Edge, Party};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::mesh::Where;
use crate::remembered::asked::{Filters, Window};
use crate::remembered::shape::{Graph, Link, Missing, Records, Totals};
use crate::remembered::{Asked, Remembered};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean, progress, units};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    filters: Filters,

    #[command(flatten)]
    window: Window,

    #[command(flatten)]
    place: Where,

    #[command(flatten)]
    show: Show,
}

/// `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Edges {
    from_ms: i64,
    to_ms: i64,
    edges: Vec<Row>,
    missing: Vec<Missing>,
    #[serde(skip)]
    filtered: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    from: String,
    to: String,
    service: String,
    port: u32,
    protocol: String,
    /// `mtls`, `plain` or `mixed`.
    security: String,
    identity: String,
    health: String,
    policies: Vec<String>,
    /// When the first and the last connection of the window began; 0: not known.
    first_ms: i64,
    last_ms: i64,
    totals: Totals,
}

/// Shows them.
///
/// # Errors
/// If nobody can be asked, or a name is of nobody.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let asked = options.filters.since(&mesh, options.window.since)?;
    let remembered = Remembered::find(&mesh).await?;
    let (graph, times) = progress::during("asking what is remembered", async {
        let graph = remembered.page::<Graph>("mesh?group=workload", &asked).await?;
        let all = Asked { limit: Some(10_000), ..asked.clone() };
        let records = remembered.page::<Records>("answer?want=edges", &all).await;
        Ok::<_, Failure>((graph, records.map(|found| times(&found.page.edges)).unwrap_or_default()))
    })
    .await?;
    if graph.page.edges.is_empty() && !asked.workload.is_empty() {
        know(&remembered, &asked).await?;
    }
    let edges = Edges {
        from_ms: graph.from_ms,
        to_ms: graph.to_ms,
        edges: graph.page.edges.iter().map(|link| row(link, &times)).collect(),
        missing: graph.missing,
        filtered: !asked.filters().is_empty(),
    };
    options.show.print(&edges)?;
    Ok(if edges.missing.is_empty() { Outcome::Fine } else { Outcome::Partial })
}

/// That somebody has that name: else what there is.
async fn know(remembered: &Remembered, asked: &Asked) -> Result<(), Failure> {
    let window = Asked { from_ms: asked.from_ms, to_ms: asked.to_ms, ..Asked::default() };
    let all = remembered.page::<crate::remembered::shape::Workloads>("workloads", &window).await?;
    let keys: BTreeSet<String> =
        all.page.workloads.iter().map(|one| format!("{}/{}", one.namespace, one.name)).collect();
    let pattern = asked.workload.trim_end_matches('*');
    let known = keys.iter().any(|key| {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        let fits =
            if asked.workload.ends_with('*') { name.starts_with(pattern) } else { name == pattern };
        fits && (asked.namespace.is_empty() || asked.namespace == namespace)
    });
    if known {
        return Ok(());
    }
    let wanted = match asked.namespace.as_str() {
        "" => asked.workload.clone(),
        namespace => format!("{namespace}/{}", asked.workload),
    };
    Err(Failure::unknown("workload", &wanted, keys.iter().map(String::as_str)))
}

/// First and last, by source, destination and port.
type Times = BTreeMap<(String, String, u32), (i64, i64)>;

fn times(edges: &[Edge]) -> Times {
    let mut times = Times::new();
    let name = |party: &Option<Party>| {
        let party = party.clone().unwrap_or_default();
        format!("{}/{}", party.namespace, party.workload)
    };
    for edge in edges {
        let Some(key) = &edge.key else { continue };
        let (from, to) = (name(&key.source), name(&key.destination));
        // What a waypoint saw are two links: to it, and from it.
        let links = match key.waypoint.as_str() {
            "" => vec![(from, to, key.port)],
            by => vec![(from, by.to_owned(), key.port), (by.to_owned(), to, key.port)],
        };
        for link in links {
            let (first, last) = times.entry(link).or_insert((i64::MAX, 0));
            if edge.first_ms > 0 {
                *first = edge.first_ms.min(*first);
            }
            *last = edge.last_ms.max(*last);
        }
    }
    times
}

fn row(link: &Link, times: &Times) -> Row {
    let key = |id: &str| id.split_once(':').map_or(id, |(_, key)| key).to_owned();
    let (from, to) = (key(&link.from), key(&link.to));
    let (first_ms, last_ms) = times
        .get(&(from, to, link.port))
        .copied()
        .filter(|(first, _)| *first < i64::MAX)
        .unwrap_or_default();
    Row {
        from: party(&link.from),
        to: party(&link.to),
        service: link.service.clone(),
        port: link.port,
        protocol: link.protocol.clone(),
        security: link.security.clone(),
        identity: link.identity.clone(),
        health: link.health.clone(),
        policies: link.policies.clone(),
        first_ms,
        last_ms,
        totals: link.totals.clone(),
    }
}

/// A vertex as a person calls it; what is no workload says what it is.
fn party(id: &str) -> String {
    let (kind, key) = id.split_once(':').unwrap_or(("", id));
    let key = key.trim_start_matches('/');
    match (kind, key) {
        ("workload" | "", key) => key.to_owned(),
        (kind, "") => kind.to_owned(),
        (kind, key) => format!("{kind} {key}"),
    }
}

impl Listing for Edges {
    fn table(&self) -> Table {
        let columns = [
            Column::text("FROM"),
            Column::text("TO"),
            Column::number("PORT"),
            Column::text("SECURITY"),
            Column::text("SINCE"),
            Column::number("OPENED"),
            Column::number("REQUESTS"),
            Column::number("FAILED"),
            Column::number("REFUSED"),
            Column::number("SENT"),
            Column::number("RECEIVED"),
            Column::text("SERVICE").wide(),
            Column::text("PROTOCOL").wide(),
            Column::text("IDENTITY").wide(),
            Column::text("POLICIES").wide(),
        ];
        let mut table = Table::new(&columns, self.empty());
        for row in &self.edges {
            let security = match row.security.as_str() {
                "mtls" => Cell::styled("mtls", Style::Good),
                other => Cell::styled(other, Style::Warning),
            };
            let since = match row.first_ms {
                0 => String::new(),
                first => ago(self.to_ms, first),
            };
            let bad = |count: u64| match count {
                0 => 0.into(),
                count => Cell::styled(count.to_string(), Style::Bad),
            };
            // Only a waypoint counts requests, and only node proxies count connections.
            let totals = &row.totals;
            let (requests, carried) = (totals.requests, totals.opened + totals.closed);
            let of_connections = |cell: Cell| match (requests, carried) {
                (1.., 0) => Cell::default(),
                _ => cell,
            };
            table.row([
                row.from.as_str().into(),
                row.to.as_str().into(),
                row.port.into(),
                security,
                since.into(),
                of_connections(totals.opened.into()),
                if requests == 0 { Cell::default() } else { requests.into() },
                bad(totals.failed),
                bad(totals.refused),
                of_connections(units::bytes(totals.sent_bytes).into()),
                of_connections(units::bytes(totals.received_bytes).into()),
                row.service.as_str().into(),
                row.protocol.as_str().into(),
                row.identity.as_str().into(),
                row.policies.join(",").into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        self.missing.iter().map(|missing| format!("{}\n", clean(&missing.text()))).collect()
    }
}

impl Edges {
    fn empty(&self) -> &'static str {
        if self.filtered {
            "nothing was carried that fits; give other filters, or a longer --since"
        } else {
            "nothing was carried in that time; enrol somebody, or give a longer --since"
        }
    }
}

/// How long before `now`.
pub(crate) fn ago(now_ms: i64, at_ms: i64) -> String {
    let millis = u64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or_default();
    format!("{} ago", units::span(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertices_are_called_as_people_do() {
        for (id, want) in [
            ("workload:shop/web", "shop/web"),
            ("waypoint:shop/waypoint", "waypoint shop/waypoint"),
            ("external:/198.51.100.7", "external 198.51.100.7"),
            ("unknown:/", "unknown"),
        ] {
            assert_eq!(party(id), want, "{id}");
        }
        assert_eq!(ago(10_000, 5_000), "5s ago");
    }

    #[test]
    fn the_first_of_both_sides_counts() {
        let party = |name: &str| {
            Some(Party { namespace: "shop".into(), workload: name.into(), ..Party::default() })
        };
        let edge = |reporter: &str, first_ms, last_ms| Edge {
            key: Some(observe::pb::EdgeKey {
                reporter: reporter.into(),
                source: party("web"),
                destination: party("store"),
                port: 80,
                ..Default::default()
            }),
            first_ms,
            last_ms,
            ..Edge::default()
        };
        let times = times(&[edge("source", 50, 90), edge("destination", 40, 80), edge("x", 0, 0)]);
        let link = Link {
            from: "workload:shop/web".into(),
            to: "workload:shop/store".into(),
            port: 80,
            ..Link::default()
        };
        let row = row(&link, &times);
        assert_eq!((row.first_ms, row.last_ms), (40, 90));
    }
}
