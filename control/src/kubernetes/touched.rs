//! Objects whose status may have to be written again: many tell, one writes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::object::ObjectRef;

/// The objects. Cheap to clone; each is held once, so it holds no more than there are.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    objects: Arc<Mutex<BTreeSet<ObjectRef>>>,
    told: Arc<Notify>,
}

impl Touched {
    /// Notes an object.
    pub fn touch(&self, object: &ObjectRef) {
        self.lock().insert(object.clone());
        self.told.notify_one();
    }

    /// Tells that something else has changed that may matter.
    pub fn ring(&self) {
        self.told.notify_one();
    }

    /// Takes all of them.
    pub fn take(&self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut *self.lock())
    }

    /// Ready after something was noted. Cancel safe.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<ObjectRef>> {
        // No code under the lock panics halfway through a change.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
