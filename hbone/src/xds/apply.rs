//! Hands a response to a handler so that no fault in one resource hurts the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Handler, Rejected, Resource};

/// Applies on a thread where blocking is allowed. Never panics and never fails as a whole.
pub(super) async fn apply(
    handler: &Arc<dyn Handler>,
    resources: Vec<Resource>,
    removed: Vec<String>,
) -> Vec<Rejected> {
    let all: Vec<String> = names(&resources, &removed);
    let handler = Arc::clone(handler);
    let work = move || guarded(handler.as_ref(), resources, removed);
    // The work catches its panics; what is left is a runtime that shuts down.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        all.into_iter().map(|name| Rejected { name, error: error.to_string() }).collect()
    })
}

fn names(resources: &[Resource], removed: &[String]) -> Vec<String> {
    resources.iter().map(|resource| &resource.name).chain(removed).cloned().collect()
}

/// All at once; after a panic each by itself, so that only the one at fault is rejected.
fn guarded(handler: &dyn Handler, resources: Vec<Resource>, removed: Vec<String>) -> Vec<Rejected> {
    let (again, again_removed) = (resources.clone(), removed.clone());
    if let Ok(rejected) = catch_unwind(AssertUnwindSafe(|| handler.apply(resources, removed))) {
        return rejected;
    }
    tracing::error!("the handler of a discovery response panicked; applying one by one");
    let alone = again.into_iter().map(|resource| (resource.name.clone(), vec![resource], vec![]));
    let alone_removed = again_removed.into_iter().map(|name| (name.clone(), vec![], vec![name]));
    alone.chain(alone_removed).flat_map(|one| apply_one(handler, one)).collect()
}

fn apply_one(
    handler: &dyn Handler,
    (name, resources, removed): (String, Vec<Resource>, Vec<String>),
) -> Vec<Rejected> {
    catch_unwind(AssertUnwindSafe(|| handler.apply(resources, removed))).unwrap_or_else(|_| {
        tracing::error!(resource = %name, "a discovery resource makes its handler panic");
        vec![Rejected { name, error: "the client failed on this resource".to_owned() }]
    })
}
