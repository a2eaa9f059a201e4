//! One copy of texts that thousands of resources share: namespaces, nodes, networks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::identity::{SpiffeId, TrustDomain};

/// Below this many entries no sweep is worth its time.
const SMALLEST_SWEEP: usize = 1024;

/// Trust domain, namespace and service account.
type IdentityParts = (Arc<str>, Arc<str>, Arc<str>);

/// Hands out shared copies of texts and identities, and forgets those that nobody holds.
///
/// Belongs to whoever decodes a stream of resources; it keeps at most twice the entries that
/// are in use, and never fewer than a thousand.
#[derive(Debug, Default)]
pub struct Interner {
    texts: HashSet<Arc<str>>,
    ids: HashMap<IdentityParts, Option<SpiffeId>>,
    sweep_at: usize,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.sweep();
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The shared identity of a service account; none if the three parts make no identity.
    /// An empty trust domain means `cluster.local`, an empty account `default`.
    pub fn identity(&mut self, domain: &str, namespace: &str, account: &str) -> Option<SpiffeId> {
        let key = (self.text(domain), self.text(namespace), self.text(account));
        let make = || {
            let domain = if domain.is_empty() {
                TrustDomain::default()
            } else {
                TrustDomain::new(domain).ok()?
            };
            SpiffeId::new(domain, namespace, account).ok()
        };
        self.ids.entry(key).or_insert_with(make).clone()
    }

    /// How many texts and identities are kept.
    pub fn len(&self) -> usize {
        self.texts.len() + self.ids.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.ids.is_empty()
    }

    /// Forgets what nobody else holds, once the tables have doubled since the last time.
    fn sweep(&mut self) {
        if self.len() < self.sweep_at.max(SMALLEST_SWEEP) {
            return;
        }
        // An identity's parts are held by the workloads of that identity; the key's own copies
        // and the table of texts are two, so three or more means in use.
        self.ids.retain(|(_, namespace, account), _| {
            Arc::strong_count(namespace) > 2 && Arc::strong_count(account) > 2
        });
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.sweep_at = self.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::Interner;

    #[test]
    fn the_same_text_is_stored_once() {
        let mut interner = Interner::default();
        let (one, two) = (interner.text("shop"), interner.text("shop"));
        assert!(std::sync::Arc::ptr_eq(&one, &two));
    }

    #[test]
    fn an_identity_needs_valid_parts() {
        let mut interner = Interner::default();
        let id = interner.identity("", "shop", "").map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("spiffe://cluster.local/ns/shop/sa/default"));
        assert_eq!(interner.identity("", "Shop", "web"), None);
        assert_eq!(interner.identity("a b", "shop", "web"), None);
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.text("kept");
        for n in 0..20_000 {
            interner.text(&format!("gone-{n}"));
            interner.identity("", &format!("ns-{n}"), "web");
        }
        assert!(interner.len() < 3000, "{} entries", interner.len());
        assert!(std::sync::Arc::ptr_eq(&kept, &interner.text("kept")));
    }
}
