//! What Ambit's proxies remember of their traffic, and how it is asked for (docs/observe.md).
//!
//! In the order in which data flows:
//!
//! - [`recorder`]: what happens now: edges, open connections, incidents, events
//! - [`ring`]: what happened, in files of fixed size in all
//! - [`query`]: an answer of one proxy, out of both
//! - [`merge`]: one answer out of several
//! - [`home`]: a proxy calls control and answers there; [`fleet`]: control asks all of them
//! - [`page`]: what the pages show, out of an answer
//! - [`http`], [`site`]: API and pages over HTTP, for a node and for the fleet
//!
//! [`sketch`] and [`counters`] are the numbers in all of them.

pub mod counters;
pub mod fleet;
pub mod home;
pub mod http;
pub mod merge;
pub mod metrics;
pub mod page;
pub mod query;
pub mod recorder;
pub mod ring;
pub mod site;
pub mod sketch;
pub mod source;

/// The messages, in memory, in files, between processes and as JSON.
pub mod pb {
    #[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
    mod all {
        include!(concat!(env!("OUT_DIR"), "/pb.rs"));
    }
    pub use all::ambit::observe::ring;
    pub use all::ambit::observe::v1::*;
}

/// Width of a step in which counters are kept, in milliseconds.
pub const RESOLUTION_MS: i64 = 10_000;

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// When the step begins in which `at_ms` is; steps are `step_ms` wide.
pub fn step_of(at_ms: i64, step_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(step_ms.max(1))
}
