//! `ambit audit`: what was decided: refusals and failures one by one, and what each policy did.

use clap::Args;
use observe::pb::{EdgeKey, Incident, Party};
use serde::Serialize;
use time::OffsetDateTime;

use crate::failure::{Failure, Outcome};
use crate::mesh::Where;
use crate::remembered::asked::{Filters, Window};
use crate::remembered::shape::{Incidents, Missing, Policies, PolicyRow};
use crate::remembered::{Asked, Remembered};
use crate::terminal::{Cell, Column, Listing, Show, Style, Table, clean, progress};

/// What to show.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only refusals by policy, not what failed otherwise
    #[arg(long)]
    refused: bool,

    /// What each policy decided, instead of single decisions
    #[arg(long)]
    policies: bool,

    /// At most so many, the newest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,

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
struct Decisions {
    decisions: Vec<Incident>,
    /// Decisions that came too fast to be kept one by one.
    dropped: u64,
    missing: Vec<Missing>,
}

/// `-o json` of `--policies`.
#[derive(Debug, Serialize)]
struct Decided {
    policies: Vec<PolicyRow>,
    missing: Vec<Missing>,
}

/// Shows them.
///
/// # Errors
/// If nobody can be asked.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let mesh = options.place.find().await?;
    let asked = options.filters.since(&mesh, options.window.since)?;
    let remembered = Remembered::find(&mesh).await?;
    let ended = |missing: &[Missing]| {
        if missing.is_empty() { Outcome::Fine } else { Outcome::Partial }
    };
    if options.policies {
        let found = remembered.page::<Policies>("policies", &asked);
        let found = progress::during("asking what was decided", found).await?;
        let mut policies = found.page.policies;
        policies.retain(|row| asked.policy.is_empty() || row.name == asked.policy);
        if let (true, false) = (policies.is_empty(), asked.policy.is_empty()) {
            return Err(unknown_policy(&remembered, &asked).await?);
        }
        let decided = Decided { policies, missing: found.missing };
        options.show.print(&decided)?;
        return Ok(ended(&decided.missing));
    }
    let asked = Asked { limit: Some(10_000), ..asked };
    let found = remembered.page::<Incidents>("incidents", &asked);
    let found = progress::during("asking what was decided", found).await?;
    let mut decisions = found.page.incidents;
    if decisions.is_empty() && !asked.policy.is_empty() {
        let all = Asked { policy: String::new(), ..asked.clone() };
        let known = remembered.page::<Policies>("policies", &all).await?;
        if !known.page.policies.iter().any(|row| row.name == asked.policy) {
            return Err(unknown_policy(&remembered, &asked).await?);
        }
    }
    decisions.retain(|one| !options.refused || is_refusal(one));
    decisions.truncate(options.limit as usize);
    let found = Decisions { decisions, dropped: found.page.dropped, missing: found.missing };
    options.show.print(&found)?;
    Ok(ended(&found.missing))
}

async fn unknown_policy(remembered: &Remembered, asked: &Asked) -> Result<Failure, Failure> {
    let all = Asked { from_ms: asked.from_ms, to_ms: asked.to_ms, ..Asked::default() };
    let known = remembered.page::<Policies>("policies", &all).await?.page.policies;
    Ok(Failure::unknown("policy", &asked.policy, known.iter().map(|row| row.name.as_str())))
}

/// Whether a policy refused it.
pub(crate) fn is_refusal(incident: &Incident) -> bool {
    incident.refused || incident.key.as_ref().is_some_and(|key| key.failure == "DENY")
}

/// A time in UTC, to the second.
pub(crate) fn clock(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1_000)).ok();
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.and_then(|at| at.format(format).ok()).unwrap_or_default()
}

/// A side as a person calls it: its pod, else its workload, else its address.
pub(crate) fn side(party: Option<&Party>, pod: &str, address: &str) -> String {
    let party = party.cloned().unwrap_or_default();
    let name = if pod.is_empty() { party.workload.as_str() } else { pod };
    match (party.namespace.as_str(), name) {
        (_, "") => address.to_owned(),
        (_, name) if name.contains('/') => name.to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// The identity that was proved by the caller.
pub(crate) fn caller(key: &EdgeKey) -> String {
    key.source.as_ref().map(|source| source.identity.clone()).unwrap_or_default()
}

impl Listing for Decisions {
    fn table(&self) -> Table {
        let columns = [
            Column::text("TIME"),
            Column::text("DECISION"),
            Column::text("FROM"),
            Column::text("TO"),
            Column::number("PORT"),
            Column::text("POLICY"),
            Column::text("REASON"),
            Column::text("HOP").wide(),
            Column::text("IDENTITY").wide(),
            Column::text("REQUEST").wide(),
            Column::text("NODE").wide(),
        ];
        let mut table = Table::new(&columns, "nothing was refused and nothing failed in that time");
        for one in &self.decisions {
            let key = one.key.clone().unwrap_or_default();
            let decision = if is_refusal(one) { "refused" } else { "failed" };
            let request = [one.method.as_str(), &one.authority, &one.path].join(" ");
            table.row([
                clock(one.at_ms).into(),
                Cell::styled(decision, Style::Bad),
                side(key.source.as_ref(), &one.source_pod, &one.source_address).into(),
                side(key.destination.as_ref(), &one.destination_pod, &one.destination_address)
                    .into(),
                key.port.into(),
                key.policy.as_str().into(),
                if one.error.is_empty() {
                    key.failure.as_str().into()
                } else {
                    one.error.as_str().into()
                },
                one.hop.as_str().into(),
                caller(&key).into(),
                request.trim().into(),
                one.node.as_str().into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        let mut text = String::new();
        if self.dropped > 0 {
            text += &format!("{} more came too fast to be kept one by one\n", self.dropped);
        }
        for missing in &self.missing {
            text += &format!("{}\n", clean(&missing.text()));
        }
        text
    }
}

impl Listing for Decided {
    fn table(&self) -> Table {
        let columns = [
            Column::text("POLICY"),
            Column::text("ACTION"),
            Column::text("BY"),
            Column::number("ALLOWED"),
            Column::number("REFUSED"),
            Column::text("SCOPE").wide(),
            Column::text("DRY RUN").wide(),
        ];
        let mut table = Table::new(&columns, "no policy is in force, and none decided anything");
        for row in &self.policies {
            let refused = match row.refused {
                0 => 0.into(),
                count => Cell::styled(count.to_string(), Style::Bad),
            };
            table.row([
                row.name.as_str().into(),
                row.action.as_str().into(),
                row.enforced_by.as_str().into(),
                // A DENY or CUSTOM policy lets nothing pass: others allow what it does not refuse.
                if row.action == "ALLOW" || row.allowed > 0 {
                    row.allowed.into()
                } else {
                    Cell::default()
                },
                refused,
                row.scope.as_str().into(),
                (if row.dry_run { "yes" } else { "no" }).into(),
            ]);
        }
        table
    }

    fn footer(&self) -> String {
        self.missing.iter().map(|missing| format!("{}\n", clean(&missing.text()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_sides_have_the_best_name() {
        assert_eq!(clock(1_700_000_000_123), "2023-11-14T22:13:20Z");
        let party = Party { namespace: "shop".into(), workload: "web".into(), ..Party::default() };
        for (party, pod, address, want) in [
            (Some(&party), "web-1", "10.0.0.1:1", "shop/web-1"),
            (Some(&party), "", "10.0.0.1:1", "shop/web"),
            (None, "", "10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(side(party, pod, address), want);
        }
    }
}
