//! What control tells of the mesh as it runs: it asks all proxies, and knows the pods itself.
//!
//! - [`service`]: proxies call here, and are asked
//! - [`pods`]: the pods as control knows them
//! - [`changes`]: what somebody changed, as events
//! - [`proofs`]: what nodes prove of pods, as events

pub mod changes;
pub mod pods;
pub mod proofs;
pub mod service;

use std::path::Path;

use observe::pb::{Certificate, Origin};
use observe::recorder::Recorder;
use observe::ring::RingSettings;

/// What control itself remembers, in its state directory: events only, so a small part of what
/// a proxy keeps.
pub fn recorder(state: &Path, replica: &str) -> Recorder {
    let ring = RingSettings { directory: Some(state.join("observed")), limit: 8 << 20 };
    let origin = Origin {
        kind: "control".to_owned(),
        name: replica.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: observe::now_ms(),
        ..Origin::default()
    };
    Recorder::new(origin, ring)
}

/// The mesh's root, which ends at `not_after`, in seconds since 1970.
pub fn authority(not_after: i64) -> Certificate {
    let not_after_ms = not_after.saturating_mul(1_000);
    Certificate {
        identity: "root of the mesh".to_owned(),
        not_after_ms,
        state: if not_after_ms > observe::now_ms() { "valid" } else { "expired" }.to_owned(),
        authority: true,
        kind: "control".to_owned(),
        ..Certificate::default()
    }
}
