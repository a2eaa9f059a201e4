//! Persistent maps, and maps with several values under a key.

use std::hash::Hash;
use std::sync::Arc;

use hbone::wire::workload::{Service, TunnelProtocol, Workload};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

/// A persistent hash map.
pub(crate) type Map<K, V> = HashTrieMapSync<K, V>;
/// A persistent sorted map: the same content is always walked in the same order.
pub(crate) type Sorted<K, V> = RedBlackTreeMapSync<K, V>;
/// Several values under a key, best first. Few, so they are copied on change.
pub(crate) type Buckets<K, T> = Map<K, Arc<[Arc<T>]>>;

/// A value of a bucket: its place among the others, and whether it is the same object.
pub(crate) trait Entry {
    /// Orders by preference; ends in the key, so that no two objects are equal.
    type Order<'a>: Ord
    where
        Self: 'a;

    /// The place of this value.
    fn order(&self) -> Self::Order<'_>;
    /// Whether both have one key.
    fn same(&self, other: &Self) -> bool;
}

impl Entry for Workload {
    type Order<'a> = (bool, bool, &'a str);

    /// Pods first, then what speaks HBONE (docs/wire.md, "UID forms").
    fn order(&self) -> Self::Order<'_> {
        (!self.is_pod(), self.tunnel != TunnelProtocol::Hbone, &*self.uid)
    }

    fn same(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Entry for Service {
    type Order<'a> = (&'a str, &'a str);

    fn order(&self) -> Self::Order<'_> {
        (&*self.key.namespace, &*self.key.hostname)
    }

    fn same(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// Adds `value` under `key`, in place of an older version of itself.
pub(crate) fn put<K, T>(buckets: &mut Buckets<K, T>, key: K, value: &Arc<T>)
where
    K: Eq + Hash,
    T: Entry,
{
    let old: &[Arc<T>] = buckets.get(&key).map_or(&[], |bucket| bucket);
    let mut new: Vec<Arc<T>> = old.iter().filter(|old| !old.same(value)).cloned().collect();
    let at = new.partition_point(|other| other.order() < value.order());
    new.insert(at, Arc::clone(value));
    buckets.insert_mut(key, new.into());
}

/// Takes `value` away from `key`, and the key with its last value.
pub(crate) fn take<K, T>(buckets: &mut Buckets<K, T>, key: &K, value: &T)
where
    K: Eq + Hash + Clone,
    T: Entry,
{
    let Some(old) = buckets.get(key) else { return };
    let new: Vec<Arc<T>> = old.iter().filter(|old| !old.same(value)).cloned().collect();
    if new.is_empty() {
        buckets.remove_mut(key);
    } else {
        buckets.insert_mut(key.clone(), new.into());
    }
}

/// The values under `key`, best first.
pub(crate) fn all<'a, K, T>(buckets: &'a Buckets<K, T>, key: &K) -> &'a [Arc<T>]
where
    K: Eq + Hash,
{
    buckets.get(key).map_or(&[], |bucket| bucket)
}
