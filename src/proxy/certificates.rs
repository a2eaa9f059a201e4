//! Certificates of a proxy, and how much of their life is left.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::mesh::Mesh;
use crate::mesh::dump::{Certificate, CertificateItem, ProxyDump};
use crate::terminal::{Cell, Column, Listing, Style, Table, units};

/// How a certificate stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// In force, and so much is left.
    Valid(Duration),
    /// In force, but later in its life than a rotation ever leaves it.
    Overdue(Duration),
    /// Over, for so long.
    Expired(Duration),
    /// Its times cannot be read, or are yet to come.
    Unknown,
}

/// Where an item stands at `now`. Certificates are renewed at half of their life; what is beyond
/// four fifths is late.
pub(crate) fn life(item: &CertificateItem, now: OffsetDateTime) -> Life {
    let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let (Some(from), Some(until)) = (at(&item.valid_from), at(&item.expiration_time)) else {
        return Life::Unknown;
    };
    if from > now + Duration::from_mins(5) {
        return Life::Unknown;
    }
    let span = |span: time::Duration| Duration::try_from(span).unwrap_or_default();
    if until <= now {
        return Life::Expired(span(now - until));
    }
    let left = span(until - now);
    if left < span(until - from) / 5 { Life::Overdue(left) } else { Life::Valid(left) }
}

/// `-o json` of `certificates`.
#[derive(Debug, Serialize)]
pub(super) struct Certificates {
    certificates: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    identity: String,
    /// `leaf`, `intermediate` or `root`; empty while there is none.
    kind: &'static str,
    /// `Available`, `Initializing`, or `Unavailable: <why>`.
    state: String,
    serial: String,
    not_before: String,
    not_after: String,
    /// Seconds until its end; negative afterwards; none if it is not known.
    seconds_left: Option<i64>,
    #[serde(skip)]
    life: Option<Life>,
}

impl Certificates {
    pub(super) fn of(dump: &ProxyDump, mesh: &Mesh) -> Self {
        let now = OffsetDateTime::now_utc();
        let is_wanted = |one: &&Certificate| {
            let namespace =
                one.identity.split("/ns/").nth(1).and_then(|rest| rest.split('/').next());
            namespace.is_none_or(|namespace| mesh.namespaces.has(namespace))
        };
        let all = dump.certificates.iter().filter(is_wanted);
        Self { certificates: all.flat_map(|one| rows(one, now)).collect() }
    }
}

fn rows(one: &Certificate, now: OffsetDateTime) -> Vec<Row> {
    let row = |kind, item: &CertificateItem, life: Option<Life>| Row {
        identity: one.identity.clone(),
        kind,
        state: one.state.clone(),
        serial: item.serial_number.clone(),
        not_before: item.valid_from.clone(),
        not_after: item.expiration_time.clone(),
        seconds_left: life.and_then(|life| match life {
            Life::Valid(left) | Life::Overdue(left) => i64::try_from(left.as_secs()).ok(),
            Life::Expired(since) => i64::try_from(since.as_secs()).ok().map(|since| -since),
            Life::Unknown => None,
        }),
        life,
    };
    if one.cert_chain.is_empty() {
        return vec![row("", &CertificateItem::default(), None)];
    }
    let chain = one.cert_chain.iter().enumerate();
    let chain = chain.map(|(n, item)| (if n == 0 { "leaf" } else { "intermediate" }, item));
    let roots = one.root_certs.iter().map(|item| ("root", item));
    chain.chain(roots).map(|(kind, item)| row(kind, item, Some(life(item, now)))).collect()
}

impl Listing for Certificates {
    fn table(&self) -> Table {
        let columns = [
            Column::text("IDENTITY"),
            Column::text("KIND"),
            Column::text("STATE"),
            Column::text("LEFT"),
            Column::text("NOT AFTER"),
            Column::text("NOT BEFORE").wide(),
            Column::text("SERIAL").wide(),
        ];
        let mut table = Table::new(&columns, "it has no certificates");
        for row in &self.certificates {
            let left = match row.life {
                Some(Life::Valid(left)) => Cell::styled(units::span(left), Style::Good),
                Some(Life::Overdue(left)) => Cell::styled(units::span(left), Style::Warning),
                Some(Life::Expired(since)) => {
                    Cell::styled(format!("expired {} ago", units::span(since)), Style::Bad)
                }
                Some(Life::Unknown) => Cell::styled("unknown", Style::Warning),
                None => Cell::default(),
            };
            table.row([
                row.identity.as_str().into(),
                row.kind.into(),
                Cell::verdict(&row.state, row.state == "Available"),
                left,
                row.not_after.as_str().into(),
                row.not_before.as_str().into(),
                row.serial.as_str().into(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_certificate_is_valid_then_overdue_then_expired() {
        let item = CertificateItem {
            valid_from: "2026-01-01T00:00:00Z".to_owned(),
            expiration_time: "2026-01-02T00:00:00Z".to_owned(),
            ..CertificateItem::default()
        };
        let hours = |count| Duration::from_hours(count);
        for (now, want) in [
            (datetime!(2026-01-01 01:00 UTC), Life::Valid(hours(23))),
            (datetime!(2026-01-01 19:00 UTC), Life::Valid(hours(5))),
            (datetime!(2026-01-01 20:00 UTC), Life::Overdue(hours(4))),
            (datetime!(2026-01-02 02:00 UTC), Life::Expired(hours(2))),
            (datetime!(2025-12-31 02:00 UTC), Life::Unknown),
        ] {
            assert_eq!(life(&item, now), want, "{now}");
        }
        assert_eq!(life(&CertificateItem::default(), OffsetDateTime::now_utc()), Life::Unknown);
    }
}
