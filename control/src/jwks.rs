//! The keys by which tokens of users are verified (docs/wire.md, "Request authentication").
//!
//! Control fetches them, so that waypoints stay small and reach nothing but the mesh.
//!
//! - [`set`]: a JSON Web Key Set, checked; [`url`]: from where
//! - [`address`]: addresses that nothing is fetched from
//! - [`fetch`]: one fetch; [`keeper`]: all of them, again and again
//! - [`kept`]: what outlives a restart; [`metrics`]: what is counted

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::set::KeySet;
use self::url::KeySetUrl;

pub mod address;
pub mod fetch;
pub mod keeper;
pub mod kept;
pub mod metrics;
pub mod set;
pub mod url;

/// Key sets that are to be fetched, each with the time that this may take.
pub type Wanted = BTreeMap<KeySetUrl, Duration>;

/// What became of a key set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The last good one; none before the first.
    pub keys: Option<Arc<KeySet>>,
    /// Why the last fetch failed.
    pub trouble: Option<String>,
}
