//! Who was let in and who was refused: a line of the log, and counts. Never a token.
//!
//! A stranger writes no log without end: of one address so many refusals are told in a minute,
//! the others are only counted.

use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use hbone::brand::METRIC_PREFIX;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use super::refusal::Refusal;
use super::tally::{Tally, source};
use crate::auth::review::fingerprint;
use crate::limits;

/// Refusals of one address that the log has in a minute.
const TOLD: u32 = 20;
/// A reader who goes on reading is told of again after this time.
const AGAIN: Duration = Duration::from_hours(1);
/// Longest text of somebody else in a line, characters.
const LONGEST: usize = 300;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WayLabels {
    way: &'static str,
}

/// How somebody proved who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A client certificate.
    Certificate,
    /// A token with each request.
    Token,
    /// A token once, then a cookie.
    Session,
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Session => "session",
        }
    }
}

/// Tells and counts.
#[derive(Debug)]
pub struct Audit {
    refusals: Family<RefusalLabels, Counter>,
    admissions: Family<WayLabels, Counter>,
    sessions: Gauge<i64, AtomicI64>,
    certificate: Gauge<i64, AtomicI64>,
    told: Tally<IpAddr>,
    readers: Tally<[u8; 32]>,
}

impl Audit {
    /// Registers its metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let most = limits::MAX_DASHBOARD_SOURCES;
        let audit = Self {
            refusals: Family::default(),
            admissions: Family::default(),
            sessions: Gauge::default(),
            certificate: Gauge::default(),
            told: Tally::new(Duration::from_mins(1), most),
            readers: Tally::new(AGAIN, most),
        };
        let registry = registry.sub_registry_with_prefix(METRIC_PREFIX);
        let refusals = "Requests and connections to the dashboards that were refused";
        registry.register("dashboard_refusals", refusals, audit.refusals.clone());
        let admissions = "Readers of the dashboards who were let in, each once an hour at most";
        registry.register("dashboard_admissions", admissions, audit.admissions.clone());
        let sessions = "Browsers that are signed in";
        registry.register("dashboard_sessions", sessions, audit.sessions.clone());
        registry.register(
            "dashboard_certificate_expiry_timestamp_seconds",
            "When the certificate of the dashboards ends",
            audit.certificate.clone(),
        );
        audit
    }

    /// Somebody reads. A session is told of each time, since it begins once.
    pub fn admitted(&self, way: Way, name: &str, from: IpAddr) {
        let way_name = way.label();
        let reader = fingerprint(&format!("{way_name} {} {name}", source(from)));
        let again = self.readers.count(&reader, Instant::now()) > 1;
        if again && way != Way::Session {
            return;
        }
        self.admissions.get_or_create(&WayLabels { way: way_name }).inc();
        info!(name = plain(name), %from, way = way_name, "a reader of the dashboards was let in");
    }

    /// Somebody signed out.
    pub fn left(&self, name: &str, from: IpAddr) {
        info!(name = plain(name), %from, "a reader of the dashboards signed out");
    }

    /// Somebody was refused at `path`.
    pub fn refused(&self, refusal: &Refusal, from: IpAddr, path: &str) {
        self.refusals.get_or_create(&RefusalLabels { reason: refusal.label() }).inc();
        let count = self.told.count(&source(from), Instant::now());
        if count > TOLD {
            return;
        }
        let (name, reason) = (plain(refusal.who()), plain(refusal.reason()));
        let (path, more) =
            (plain(path), if count == TOLD { "; more are only counted" } else { "" });
        warn!(%from, name, path, reason, "a reader of the dashboards was refused: {refusal}{more}");
    }

    /// So many are signed in.
    pub fn sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// When the certificate ends, seconds since 1970.
    pub fn certificate(&self, not_after: i64) {
        self.certificate.set(not_after);
    }
}

/// What somebody else wrote, fit for a line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}
